# openfuse-collector on its embedded store. Build: docker build -t openfuse-collector .
# Run:   docker run -p 4317:4317 -p 4318:4318 -v openfuse-data:/data openfuse-collector
# Look:  docker exec <container> openfuse-collector traces
# What it keeps is in its working directory, /data: the defaults, for which commands in the container look too.
FROM python:3.13-slim AS build
WORKDIR /src
RUN python -m venv /opt/collector
COPY pyproject.toml README.md LICENSE ./
COPY config ./config
COPY openfuse_collector ./openfuse_collector
RUN /opt/collector/bin/pip install --no-cache-dir .

FROM python:3.13-slim
RUN useradd --system --uid 10001 --no-create-home collector \
    && install --directory --owner collector --group collector --mode 0700 /data
COPY --from=build /opt/collector /opt/collector
ENV PATH=/opt/collector/bin:$PATH \
    PYTHONUNBUFFERED=1
USER collector
WORKDIR /data
VOLUME /data
EXPOSE 4317 4318 8888 13133
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:13133/', timeout=2)"]
ENTRYPOINT ["openfuse-collector"]
# Inside a container localhost is nobody's; which of the ports are published is decided by `docker run -p`.
CMD ["run", \
     "--set", "receivers.otlp.protocols.grpc.endpoint=0.0.0.0:4317", \
     "--set", "receivers.otlp.protocols.http.endpoint=0.0.0.0:4318", \
     "--set", "extensions.health_check.endpoint=0.0.0.0:13133", \
     "--set", "service.telemetry.metrics.address=0.0.0.0:8888"]
