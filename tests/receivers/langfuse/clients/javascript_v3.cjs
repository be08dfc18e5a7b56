// Langfuse for JavaScript 3: everything it can say, against the host in the environment. Prints what it was told.
const { Langfuse, LangfuseMedia } = require("langfuse");

const IMAGE = Buffer.from("\x89PNG not really", "latin1").toString("base64");

async function main() {
  const browser = process.argv[2] === "browser";
  const options = { baseUrl: process.env.LANGFUSE_HOST, publicKey: process.env.LANGFUSE_PUBLIC_KEY, flushAt: 4, fetchRetryDelay: 10, requestTimeout: 1000 * (process.env.LANGFUSE_TIMEOUT ?? 60) };
  const client = new Langfuse(browser ? options : { ...options, secretKey: process.env.LANGFUSE_SECRET_KEY });
  const errors = [];
  let projects = [];
  client.on("error", (error) => errors.push(String(error)));
  if (process.argv[2] === "bad") {
    client.trace({ id: "good", name: "n" });
    client.trace({ id: "bad", name: "x".repeat(1001) });
  } else if (browser) {
    client.score({ id: "score-1", traceId: "trace-1", name: "thumbs", value: 1 });
  } else {
    projects = (await client.api.projectsGet()).data; // meanwhile the SDK loads what it hashes media with
    const trace = client.trace({ id: "trace-1", name: "chat", userId: "u", sessionId: "s", input: { half: "cut \ud800 here" }, tags: ["b", "a"] });
    const span = trace.span({ id: "span-1", name: "retrieve", input: "in", metadata: { k: [1, null] } });
    const generation = span.generation({ id: "generation-1", name: "llm", model: "gpt-4o", modelParameters: { temperature: 0.5 } });
    generation.end({ output: { text: "done 😀" }, usageDetails: { input: 3, output: 4 }, costDetails: { total: 0.5 } });
    trace.generation({ id: "generation-2", usage: { promptTokens: 5, completionTokens: 6 } });
    trace.event({ id: "event-1", name: "noted", level: "WARNING" });
    span.end({ output: "out" });
    const image = new LangfuseMedia({ base64DataUri: `data:image/png;base64,${IMAGE}` });
    trace.update({ output: { a: 1 }, public: true, metadata: { image } });
    trace.score({ id: "score-1", name: "quality", value: 0.9 });
    client.score({ id: "score-2", traceId: "trace-1", name: "label", value: "good", dataType: "CATEGORICAL" });
  }
  await client.flushAsync();
  await client.shutdownAsync();
  console.log(JSON.stringify({ errors, auth: projects.length === 1 }));
}

main();
