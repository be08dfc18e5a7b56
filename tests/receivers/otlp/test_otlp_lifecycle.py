"""Start, stop, busy ports, TLS, settings of the servers, and memory under a bomb."""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import aiohttp
import grpc
import grpc.aio
import pytest
from google.rpc.code_pb2 import Code
from otlp_harness import (
    ANYWHERE,
    EXPORT,
    PLAIN_WAYS,
    PROTOBUF,
    WAYS,
    RecordingIntake,
    Running,
    Start,
    Way,
    export,
    run_receiver,
    send_http,
)

from openfuse_collector.component import Component
from openfuse_collector.config.types import Address, Duration
from openfuse_collector.errors import CollectorError
from openfuse_collector.receivers.otlp import FACTORY
from openfuse_collector.receivers.otlp.config import (
    EnforcementPolicy,
    GrpcConfig,
    HttpConfig,
    KeepaliveConfig,
    OtlpConfig,
    Protocols,
    ServerParameters,
    TlsConfig,
)
from tests.builders import settings
from tests.collector_process import CollectorProcess

every_encoding = pytest.mark.parametrize("way", PLAIN_WAYS, ids=str)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0)


async def test_shutdown_without_start_and_twice() -> None:
    receiver = FACTORY.create(
        settings("otlp"), OtlpConfig(Protocols(GrpcConfig(ANYWHERE), HttpConfig(ANYWHERE))), RecordingIntake()
    )
    assert isinstance(receiver, Component)
    await receiver.shutdown()
    await receiver.shutdown()


async def test_shutdown_twice_after_start(running: Running) -> None:
    assert set(running.receiver.ports) == {"grpc", "http"}
    await running.receiver.shutdown()
    await running.receiver.shutdown()
    assert running.receiver.ports == {}


@pytest.mark.parametrize("protocol", ["grpc", "http"])
async def test_one_protocol_alone(protocol: str, start: Start) -> None:
    running = await start(**{protocol: {"grpc": GrpcConfig, "http": HttpConfig}[protocol](ANYWHERE)})
    assert set(running.receiver.ports) == {protocol}


@pytest.mark.parametrize("protocol", ["grpc", "http"])
async def test_a_busy_port_is_an_error_that_names_it(protocol: str, running: Running, start: Start) -> None:
    address = Address(f"127.0.0.1:{running.receiver.ports[protocol]}")
    with pytest.raises(CollectorError, match=f"receivers::otlp::protocols::{protocol}: cannot listen on {address}"):
        await start(**{protocol: {"grpc": GrpcConfig, "http": HttpConfig}[protocol](address)})


@every_encoding
async def test_requests_under_way_are_finished_at_shutdown(way: Way, running: Running) -> None:
    gate = running.intake.gate = asyncio.Event()
    request = asyncio.create_task(way.send(running, export()))
    await until(lambda: running.intake.waiting == 1)
    shutdown = asyncio.create_task(running.receiver.shutdown())
    await until(lambda: running.receiver.ports == {})
    gate.set()
    assert (await request).ok
    await shutdown
    assert len(running.intake.kept) == 1


async def test_a_request_whose_client_has_left_still_reaches_the_journal_at_shutdown(running: Running) -> None:
    gate = running.intake.gate = asyncio.Event()
    async with grpc.aio.insecure_channel(running.grpc) as channel:
        call = channel.unary_unary(EXPORT)(export().SerializeToString())
        await until(lambda: running.intake.waiting == 1)
        call.cancel()
    shutdown = asyncio.create_task(running.receiver.shutdown())
    await until(lambda: running.receiver.ports == {})
    gate.set()
    await shutdown
    assert len(running.intake.kept) == 1 and running.counted("grpc")["otelcol_receiver_accepted_spans_total"] == 3


@pytest.mark.parametrize(("seconds", "streams"), [(Duration(600), 3), (Duration(720 * 3600), 10**10)])
async def test_every_setting_of_the_grpc_server_is_taken(start: Start, seconds: Duration, streams: int) -> None:
    keepalive = KeepaliveConfig(
        ServerParameters(*[seconds] * 5), EnforcementPolicy(seconds, permit_without_stream=True)
    )
    running = await start(grpc=GrpcConfig(ANYWHERE, max_concurrent_streams=streams, keepalive=keepalive))
    assert (await PLAIN_WAYS[-1].send(running, export())).ok


async def test_connections_of_a_certain_age_are_told_to_go(start: Start) -> None:
    """GOAWAY: the channel leaves READY by itself, and the next call connects anew."""
    keepalive = KeepaliveConfig(ServerParameters(max_connection_age=Duration(0.2)))
    running = await start(grpc=GrpcConfig(ANYWHERE, keepalive=keepalive))
    async with grpc.aio.insecure_channel(running.grpc) as channel:
        call = channel.unary_unary(EXPORT)
        assert await call(b"") == b""
        async with asyncio.timeout(30):
            while channel.get_state() is grpc.ChannelConnectivity.READY:
                await channel.wait_for_state_change(grpc.ChannelConnectivity.READY)
        assert await call(b"", wait_for_ready=True) == b""


async def test_no_keep_alive_when_idle_timeout_is_zero(start: Start) -> None:
    running = await start(http=HttpConfig(ANYWHERE, idle_timeout=Duration(0)))
    reader, writer = await asyncio.open_connection("127.0.0.1", running.receiver.ports["http"])
    writer.write(
        f"POST /v1/traces HTTP/1.1\r\nHost: x\r\nContent-Type: {PROTOBUF}\r\nContent-Length: 0\r\n\r\n".encode()
    )
    async with asyncio.timeout(30):
        assert (await reader.read()).startswith(b"HTTP/1.1 200")  # reads up to the end of the connection
    writer.close()


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> TlsConfig:
    """A self-signed certificate for localhost, which is its own authority."""
    directory = tmp_path_factory.mktemp("tls")
    cert, key = directory / "cert.pem", directory / "key.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    command += ["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", str(key), "-out", str(cert)]
    try:
        subprocess.run(command, check=True, capture_output=True)
    except FileNotFoundError:
        pytest.skip("openssl is not installed: no certificate to test TLS with")
    return TlsConfig(str(cert), str(key))


@pytest.mark.parametrize("mutual", [False, True])
async def test_tls(mutual: bool, certificate: TlsConfig, start: Start) -> None:
    cert, key = Path(certificate.cert_file), Path(certificate.key_file)
    tls = TlsConfig(str(cert), str(key), client_ca_file=str(cert) if mutual else "")
    running = await start(http=HttpConfig(ANYWHERE, tls=tls), grpc=GrpcConfig(ANYWHERE, tls=tls))
    url = f"https://localhost:{running.receiver.ports['http']}/v1/traces"
    for with_certificate in (True, False):
        accepted = with_certificate or not mutual
        context = ssl.create_default_context(cafile=str(cert))
        if with_certificate:
            context.load_cert_chain(cert, key)
        credentials = grpc.ssl_channel_credentials(
            cert.read_bytes(),
            key.read_bytes() if with_certificate else None,
            cert.read_bytes() if with_certificate else None,
        )
        assert await over_https(url, context) is accepted
        assert await over_secure_grpc(f"localhost:{running.receiver.ports['grpc']}", credentials) is accepted


async def over_https(url: str, context: ssl.SSLContext) -> bool:
    try:
        async with (
            aiohttp.ClientSession() as session,
            session.post(url, data=b"", headers={"Content-Type": PROTOBUF}, ssl=context) as answer,
        ):
            return answer.status == 200
    except aiohttp.ClientError:
        return False


async def over_secure_grpc(address: str, credentials: grpc.ChannelCredentials) -> bool:
    async with grpc.aio.secure_channel(address, credentials) as channel:
        try:
            return await channel.unary_unary(EXPORT)(b"", timeout=20) == b""
        except grpc.aio.AioRpcError as error:
            assert error.code() == grpc.StatusCode.UNAVAILABLE
            return False


@pytest.mark.parametrize("protocol", ["grpc", "http"])
async def test_certificates_that_cannot_be_used(protocol: str, tmp_path: Path, start: Start) -> None:
    tls = TlsConfig(str(tmp_path / "no.pem"), str(tmp_path / "no.key"))
    with pytest.raises(CollectorError, match=rf"protocols::{protocol}: tls: cert_file .*no\.pem cannot be read"):
        await start(**{protocol: {"grpc": GrpcConfig, "http": HttpConfig}[protocol](ANYWHERE, tls=tls)})


GRPC_BOMB = """
import grpc, sys
channel = grpc.insecure_channel(sys.argv[1], [("grpc.max_send_message_length", -1)], compression=grpc.Compression.Gzip)
try:
    channel.unary_unary(sys.argv[2])(bytes(400 << 20), timeout=120)
except grpc.RpcError as error:
    print(error.code().value[0], "grpc-status-details-bin" in dict(error.trailing_metadata() or ()))
"""

HTTP_BOMB = """
import gzip, sys, urllib.request, urllib.error
headers = {"Content-Type": "application/x-protobuf", "Content-Encoding": "gzip"}
try:
    urllib.request.urlopen(urllib.request.Request(sys.argv[1], gzip.compress(bytes(400 << 20), 1), headers))
except urllib.error.HTTPError as error:
    print(error.code, "Retry-After" in error.headers)
"""


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="peak memory can be reset on Linux only")
@pytest.mark.parametrize(
    ("script", "expected"), [(GRPC_BOMB, f"{Code.RESOURCE_EXHAUSTED} False"), (HTTP_BOMB, "413 False")]
)
async def test_a_bomb_raises_memory_by_no_more_than_the_limit(script: str, expected: str, running: Running) -> None:
    """400 MiB of zeros, compressed to about 400 KiB, against a limit of 64 MiB."""
    target = running.grpc if script is GRPC_BOMB else running.http + "/v1/traces"
    before = peak_memory(reset=True)
    client = await asyncio.create_subprocess_exec(sys.executable, "-c", script, target, EXPORT, stdout=subprocess.PIPE)
    output, _ = await client.communicate()
    assert output.decode().strip() == expected
    assert peak_memory() - before < (64 + 16) * 1024 * 1024
    assert (await send_http(running.http + "/v1/traces", b"", {"Content-Type": PROTOBUF})).ok


def peak_memory(reset: bool = False) -> int:
    """Bytes of memory this process had resident at most since the last reset."""
    if reset:
        Path("/proc/self/clear_refs").write_text("5")
    [line] = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")]
    return int(line.split()[1]) * 1024


def test_both_protocols_run_on_uvloop() -> None:
    """The loop the service uses, whatever the other tests run on."""
    uvloop = pytest.importorskip("uvloop")

    async def round_trips() -> list[int]:
        running = await run_receiver()
        try:
            for way in WAYS:
                assert (await way.send(running, export(spans=2))).ok
            large = export(spans=20, padding=100_000)
            assert (await PLAIN_WAYS[0].send(running, large)).ok
        finally:  # uvloop does not close while somebody listens
            await running.receiver.shutdown()
        return [kept.items for kept in running.intake.kept]

    assert uvloop.run(round_trips()) == [2] * len(WAYS) + [20]


def test_handshakes_that_fail_leave_the_log_in_its_form(certificate: TlsConfig, tmp_path: Path) -> None:
    tls = {"cert_file": certificate.cert_file, "key_file": certificate.key_file}
    sets = {f"receivers.otlp.protocols.grpc.tls.{key}": path for key, path in tls.items()}
    collector = CollectorProcess(tmp_path, {**sets, "service.telemetry.logs.encoding": "json"}).start()
    try:
        for _ in range(3):
            with socket.create_connection(("127.0.0.1", collector.grpc_port), timeout=60) as client:
                client.sendall(b"GET / HTTP/1.1\r\n\r\n")
                while client.recv(1000):
                    pass
        assert collector.stop() == 0
    finally:
        collector.kill()
    assert "stopped" in [json.loads(line)["event"] for line in collector.log.splitlines()]
