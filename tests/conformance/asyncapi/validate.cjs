// Runs the public AsyncAPI parser over the file named and prints, as JSON, what it found.
const { readFileSync } = require("node:fs");
const { Parser, DiagnosticSeverity } = require("@asyncapi/parser");

async function main(path) {
  const { document, diagnostics } = await new Parser().parse(readFileSync(path, "utf8"));
  const errors = diagnostics.filter((item) => item.severity === DiagnosticSeverity.Error);
  const operations = document === undefined ? [] : document.operations().all();
  console.log(
    JSON.stringify({
      parsed: document !== undefined,
      operations: operations.map((operation) => operation.id()),
      errors: errors.map((item) => `${item.path.join("/")}: ${item.message} (${item.code})`),
    }),
  );
}

main(process.argv[2]).catch((error) => {
  console.error(error);
  process.exit(1);
});
