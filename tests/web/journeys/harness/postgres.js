// A PostgreSQL server of its own in a temporary folder, for journeys in which something is kept. It ends with the journeys,
// however these end: it goes by the standard input we hold.

import { execFileSync, spawn } from "node:child_process";
import { chmodSync, chownSync, mkdtempSync, readdirSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { until } from "./wait.js";

const KEEPER = `
"$1/postgres" -D "$2/data" -p "$3" -k "$2" -c listen_addresses=127.0.0.1 -c fsync=off </dev/null >"$2/log" 2>&1 &
server=$!
cat >/dev/null
kill -INT $server
wait $server
rm -rf "$2"
`;

export class Postgres {
  /** @returns {Promise<Postgres>} */
  static async start() {
    const versions = readdirSync("/usr/lib/postgresql").sort((a, b) => Number(a) - Number(b));
    const bin = join("/usr/lib/postgresql", versions.at(-1) ?? "", "bin");
    const folder = mkdtempSync(join(tmpdir(), "turnstone-pg-"));
    chmodSync(folder, 0o700);
    // PostgreSQL refuses to run as root, which is who CI is.
    const user = process.getuid?.() === 0 ? { uid: idOf("postgres", "-u"), gid: idOf("postgres", "-g") } : {};
    if (user.uid !== undefined && user.gid !== undefined) chownSync(folder, user.uid, user.gid);
    execFileSync(join(bin, "initdb"), ["-U", "turnstone", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "-N", "-D", join(folder, "data")], { cwd: folder, stdio: "pipe", ...user });
    const port = await freePort();
    const postgres = new Postgres(bin, port, spawn("sh", ["-c", KEEPER, "keeper", bin, folder, String(port)], { cwd: folder, stdio: ["pipe", "ignore", "ignore"], ...user }));
    await until("PostgreSQL answers", () => postgres.#ask("SELECT 1"));
    return postgres;
  }

  /** @param {string} bin @param {number} port @param {import("node:child_process").ChildProcess} keeper */
  constructor(bin, port, keeper) {
    this.bin = bin;
    this.port = port;
    this.keeper = keeper;
  }

  /** An empty database, as the server's setting names it. @param {string} name */
  database(name) {
    this.#ask(`CREATE DATABASE ${name}`);
    return `postgres://turnstone@127.0.0.1:${this.port}/${name}`;
  }

  async stop() {
    const ended = new Promise((done) => this.keeper.once("exit", done));
    this.keeper.stdin?.end();
    await ended;
  }

  /** @param {string} query */
  #ask(query) {
    return execFileSync(join(this.bin, "psql"), ["-h", "127.0.0.1", "-p", String(this.port), "-U", "turnstone", "-d", "postgres", "-Atqc", query], { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] }) || "done";
  }
}

/** @param {string} name @param {"-u" | "-g"} what */
const idOf = (name, what) => Number(execFileSync("id", [what, name], { encoding: "utf8" }));

/** @returns {Promise<number>} */
const freePort = () => new Promise((resolve) => {
  const server = createServer().listen(0, "127.0.0.1", () => {
    const { port } = /** @type {import("node:net").AddressInfo} */ (server.address());
    server.close(() => resolve(port));
  });
});
