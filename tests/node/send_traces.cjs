// Sends spans with the stock OpenTelemetry exporter: node send_traces.cjs URL SPANS [gzip]
// Prints one JSON object: {"sent": spans, "failed": error message or null, "huge": …}.
const { resourceFromAttributes } = require("@opentelemetry/resources");
const { BasicTracerProvider, InMemorySpanExporter, SimpleSpanProcessor } = require("@opentelemetry/sdk-trace-base");
const { OTLPTraceExporter } = require("@opentelemetry/exporter-trace-otlp-http");

const [url, count, compression] = process.argv.slice(2);
const memory = new InMemorySpanExporter();
const provider = new BasicTracerProvider({
  resource: resourceFromAttributes({ "service.name": "node-peer" }),
  spanProcessors: [new SimpleSpanProcessor(memory)],
});
const tracer = provider.getTracer("node-peer", "1.0");
for (let number = 0; number < Number(count); number++) {
  const span = tracer.startSpan(`span ${number}`, { kind: 2 });
  span.setAttributes({
    number,
    huge: 1e21,
    notANumber: NaN,
    text: "caf\u00e9 \u{1f600}",
    half: "cut \ud83d here",
    mixed: ["a", null, "b"],
    fraction: 0.5,
    yes: true,
  });
  span.addEvent("event", { key: "value" });
  span.setStatus({ code: 2, message: "broken" });
  span.end();
}
const exporter = new OTLPTraceExporter({ url, compression: compression || "none", timeoutMillis: 30000 });
exporter.export(memory.getFinishedSpans(), async (result) => {
  await exporter.shutdown();
  console.log(JSON.stringify({ sent: Number(count), failed: result.code === 0 ? null : String(result.error) }));
});
