// The client of Langfuse for JavaScript 4 and 5: scores go by the ingestion API. Prints what it was told.
import { createRequire } from "node:module";
const require = createRequire(process.env.NODE_PATH + "/");
const { LangfuseClient } = require("@langfuse/client");

const client = new LangfuseClient();
client.score.create({ id: "score-1", traceId: "trace-1", observationId: "span-1", name: "quality", value: 0.9 });
client.score.create({ id: "score-2", traceId: "trace-1", name: "label", value: "good", dataType: "CATEGORICAL", environment: "Prod" });
client.score.create({ id: "score-3", sessionId: "s", name: "session", value: 1, dataType: "BOOLEAN" });
await client.flush();
await client.shutdown();
const projects = await client.api.projects.get();
console.log(JSON.stringify({ projects: projects.data.map((project) => project.id) }));
