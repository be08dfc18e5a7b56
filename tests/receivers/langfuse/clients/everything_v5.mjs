// Langfuse for JavaScript 4 and 5: everything it can say, spans, scores and media. Prints the ids and what it was told.
import { createRequire } from "node:module";
const require = createRequire(process.env.NODE_PATH + "/");
const { LangfuseClient } = require("@langfuse/client");
const { LangfuseSpanProcessor } = require("@langfuse/otel");
const { propagateAttributes, setActiveTraceAsPublic, startActiveObservation } = require("@langfuse/tracing");
const { NodeTracerProvider } = require("@opentelemetry/sdk-trace-node");

const KINDS = ["span", "generation", "agent", "tool", "chain", "retriever", "evaluator", "embedding", "guardrail"];
const IMAGE = Buffer.from("\x89PNG not really", "latin1").toString("base64");

const processor = new LangfuseSpanProcessor({ environment: "prod", release: "r1" });
const provider = new NodeTracerProvider({ spanProcessors: [processor] });
provider.register();
const client = new LangfuseClient();
const projects = await client.api.projects.get();
const observations = {};
const ids = {};
await propagateAttributes({ userId: "u", sessionId: "s", tags: ["b", "a"], traceName: "chat" }, () =>
  startActiveObservation("root", async (root) => {
    setActiveTraceAsPublic();
    root.update({ input: { q: "é 😀" } });
    for (const asType of KINDS) {
      const child = root.startObservation(asType, { input: `${asType} in`, metadata: { k: [1, null] } }, { asType });
      child.update({ output: { text: `${asType} out` }, level: "WARNING", statusMessage: "careful", version: "2" });
      if (asType === "generation") {
        child.update({
          model: "gpt-4o",
          modelParameters: { temperature: 0.5 },
          usageDetails: { input: 3, output: 4 },
          costDetails: { total: 0.5 },
          completionStartTime: new Date(),
        });
      }
      client.score.observation(child, { id: `${root.traceId}-${asType}`, name: "of the observation", value: 0.5 });
      child.end();
      observations[asType] = child.id;
    }
    const event = root.startObservation("event", { input: "event in", output: { text: "event out" } }, { asType: "event" });
    observations.event = event.id;
    root.update({ output: { a: 1 }, metadata: { image: `data:image/png;base64,${IMAGE}` } });
    client.score.trace(root, { id: `${root.traceId}-trace`, name: "quality", value: "good", dataType: "CATEGORICAL" });
    Object.assign(ids, { trace: root.traceId, root: root.id });
  }),
);
client.score.create({ id: `${ids.trace}-session`, sessionId: "s", name: "session", value: 1, dataType: "BOOLEAN", comment: "ok" });
await client.flush();
// The processor fails where an export ended without an answer; what became of the spans is not for it to know.
await processor.forceFlush().catch((error) => console.error(String(error)));
await client.shutdown();
await provider.shutdown().catch((error) => console.error(String(error)));
console.log(JSON.stringify({ auth: projects.data.length === 1, version: "5.11.1", ...ids, observations }));
