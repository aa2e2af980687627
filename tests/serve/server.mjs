// Starts `mobilevlm serve` for a test and ends it again.
import {spawn} from "node:child_process";
import {createInterface} from "node:readline";

export class TestServer {
  // Resolves when the server listens; port 0 is any free one.
  static async start(executable, flags, port = 0) {
    const server = new TestServer();
    server.process = spawn(executable, ["serve", "--port", String(port), ...flags], {stdio: ["ignore", "pipe", "pipe"]});
    server.errors = "";
    server.process.stderr.on("data", (text) => (server.errors = (server.errors + text).slice(-20000)));
    server.ended = new Promise((resolve) =>
      server.process.on("exit", (code, signal) => resolve(signal ?? code)));
    const line = await Promise.race([
      new Promise((resolve) => createInterface({input: server.process.stdout}).once("line", resolve)),
      server.ended,
    ]);
    const url = /listening on (http:\/\/\S+) \(model (\S+),/.exec(line);
    if (url === null) throw new Error(`the server did not start: ${line}\n${server.errors}`);
    [, server.url, server.model] = url;
    return server;
  }

  // Sends SIGTERM; resolves to the exit code.
  async stop() {
    this.process.kill("SIGTERM");
    const timer = setTimeout(() => this.process.kill("SIGKILL"), 60_000);
    const code = await this.ended;
    clearTimeout(timer);
    return code;
  }
}
