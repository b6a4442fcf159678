// Starts the server under test as a stranger would: the release binary, flags, ports the system picks.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { createWriteStream, existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { REPOSITORY, artifact, slug } from "./artifacts.js";

/** The binary under test. */
export const BINARY = process.env.TURNSTONE_BINARY ?? join(REPOSITORY, "target", "release", "turnstone");

const START_DEADLINE = 20_000;
const STOP_DEADLINE = 12_000;

/** A folder of its own under the system's temporary one. @param {string} name */
export const temporaryFolder = (name) => mkdtempSync(join(tmpdir(), `turnstone-${name}-`));

/** One running server. Stop it, or its test never ends. */
export class Server {
  /** @type {string[]} every line it wrote to stderr */
  errors = [];
  /** @type {Record<string, string[]>} the addresses of the `listening` line: https, http, turn, admin */
  listening = {};

  /**
   * @param {{ name?: string, flags?: string[], host?: string, dataDir?: string, sslDir?: string, listen?: Record<string, string>,
   *   only?: boolean, wrap?: string[], env?: Record<string, string> }} [options] `flags` are added to the usual ones, or stand
   *   alone with `only`; `listen` pins ports, for a restart on the same ones; `wrap` is a command that runs the binary
   * @returns {Promise<Server>}
   */
  static async start(options = {}) {
    const server = new Server(options);
    try {
      await server.#run();
    } catch (error) {
      await server.kill();
      throw error;
    }
    return server;
  }

  /** @param {NonNullable<Parameters<typeof Server.start>[0]>} options */
  constructor(options) {
    this.options = options;
    this.name = options.name ?? "server";
    this.host = options.host ?? "127.0.0.1";
    this.folder = temporaryFolder("data");
    this.emptySsl = temporaryFolder("ssl");
  }

  /** What the page's address starts with. */
  get origin() {
    return `https://${this.host}:${this.port("https")}`;
  }

  /** @param {"https" | "http" | "turn" | "admin"} what */
  port(what) {
    return Number(this.listening[what][0].split(":").at(-1));
  }

  /** Resident memory, in KiB. */
  memory() {
    const found = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${this.pid}/status`, "utf8"));
    if (!found) throw new Error("no VmRSS: is the server still running?");
    return Number(found[1]);
  }

  get running() {
    return this.process.exitCode === null && this.process.signalCode === null;
  }

  /** Asks it to end, waits, and returns the exit status. */
  async stop() {
    const status = await this.#end("SIGTERM");
    rmSync(this.folder, { recursive: true, force: true });
    rmSync(this.emptySsl, { recursive: true, force: true });
    return status;
  }

  /** Asks it to end, as a restart does; `restart` starts it again. Returns the exit status. */
  interrupt() {
    return this.#end("SIGTERM");
  }

  /** Ends it as a power cut would; data and ports can be used again by `restart`. */
  kill() {
    return this.#end("SIGKILL");
  }

  /** The same server again, on the same ports, with the same data. */
  async restart() {
    this.options = { ...this.options, listen: Object.fromEntries(Object.entries(this.listening).map(([key, list]) => [key, list[0]])) };
    await this.#run();
  }

  #arguments() {
    const { flags = [], only = false, dataDir = this.folder, sslDir = this.emptySsl, listen = {} } = this.options;
    if (only) return flags;
    const at = (/** @type {string} */ what) => listen[what] ?? "127.0.0.1:0";
    return [
      ["--https-listen", at("https")], ["--http-listen", at("http")], ["--turn-listen", at("turn")], ["--admin-listen", at("admin")],
      ["--data-dir", dataDir], ["--external-ip", "127.0.0.1"], ["--ssl-dir", sslDir],
      flags,
    ].flat();
  }

  async #run() {
    if (!existsSync(BINARY)) throw new Error(`${BINARY} is missing: run \`cargo build --release\` first`);
    const log = createWriteStream(artifact("servers", `${slug(this.name)}-${process.pid}.log`), { flags: "a" });
    // The server must not outlive a test runner that was killed.
    const [command, ...rest] = ["setpriv", "--pdeathsig", "KILL", "--", ...(this.options.wrap ?? []), BINARY, ...this.#arguments()];
    log.write(`$ ${[command, ...rest].join(" ")}\n`);
    this.process = spawn(command, rest, { stdio: ["ignore", "pipe", "pipe"], cwd: this.folder, env: { ...process.env, ...this.options.env } });
    this.pid = /** @type {number} */ (this.process.pid);
    this.exited = once(this.process, "exit");
    createInterface(this.process.stderr).on("line", (line) => {
      this.errors.push(line);
      log.write(`${line}\n`);
    });
    const lines = createInterface(this.process.stdout);
    const first = new Promise((resolve) => lines.once("line", resolve));
    const line = await Promise.race([
      first,
      this.exited.then(([status]) => Promise.reject(new Error(`the server ended with status ${status}: ${this.errors.join("\n")}`))),
      new Promise((_, reject) => setTimeout(reject, START_DEADLINE, new Error("the server printed no line")).unref()),
    ]);
    log.write(`stdout: ${line}\n`);
    if (!/^listening( [a-z]+=\S+)+$/.test(line)) throw new Error(`not the line of the contract: ${line}`);
    this.listening = Object.fromEntries(line.split(" ").slice(1).map((/** @type {string} */ part) => {
      const [key, value] = part.split("=");
      return [key, value.split(",")];
    }));
  }

  /** @param {"SIGTERM" | "SIGKILL"} signal */
  async #end(signal) {
    if (!this.process) return null;
    if (this.running) {
      this.process.kill(signal);
      const late = setTimeout(() => this.process.kill("SIGKILL"), STOP_DEADLINE);
      await this.exited;
      clearTimeout(late);
    }
    return this.process.exitCode;
  }
}
