// A small internet on one machine: two homes, each in a network namespace of its own, and between them a router that has the server.
// Whatever the homes send each other crosses the router, which can refuse it; the way from a home to the server is always open.

import { execFileSync, spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { pause } from "./wait.js";

/** The server's address, the router's own: reached from both homes. */
export const SERVER_ADDRESS = "10.210.0.1";

/** A namespace of its own, which ends with the test runner, whatever becomes of that. */
const HOLDER = ["--pdeathsig", "KILL", "--", "unshare", "--net", "sleep", "infinity"];

/** How long a namespace may take to be there, ms. */
const READY_WITHIN = 5_000;

export class Network {
  /** @type {import("node:child_process").ChildProcess[]} */
  #holders = [];
  #router = 0;
  /** @type {number[]} */
  #homes = [];

  /** Fails with words where this machine does not allow it. */
  static async make() {
    const network = new Network();
    try {
      await network.#build();
      return network;
    } catch (error) {
      network.stop();
      throw new Error(`this machine makes no network namespaces for the journey (it takes root, ip, nsenter and nft): ${error instanceof Error ? error.message : error}`);
    }
  }

  /** What runs a command beside the server. */
  get atRouter() {
    return inside(this.#router);
  }

  /** What runs a command in one of the homes. @param {0 | 1} which */
  atHome(which) {
    return inside(/** @type {number} */ (this.#homes[which]));
  }

  /** Everything passes between the homes. */
  open() {
    this.#between("");
  }

  /** No datagram passes between the homes any more, and nobody is told so. */
  block() {
    this.#between("meta l4proto udp counter drop");
  }

  /** No datagram passes anywhere, between the homes or to the server; TCP does. */
  silence() {
    this.#between("meta l4proto udp counter drop", "meta l4proto udp drop");
  }

  /**
   * Only small packets pass between the homes: enough for connectivity checks, not for a handshake.
   * @param {number} bytes the largest, with its IP header @param {{ server?: boolean }} [also] whether datagrams reach the server, so that there are relays
   */
  narrow(bytes, { server = true } = {}) {
    this.#between(`meta l4proto udp meta length > ${bytes} counter drop`, server ? "" : "meta l4proto udp drop");
  }

  /** Of all datagrams only connectivity checks pass between the homes, as long as they are: STUN begins with 0 to 3, DTLS and RTP with more (RFC 7983 §7). */
  hollow() {
    this.#between("meta l4proto udp @th,64,8 > 3 counter drop");
  }

  /** How many packets between the homes were dropped since the last change. @returns {number} */
  get dropped() {
    return Number(/counter packets (\d+)/.exec(this.#run(this.#router, "nft", "list", "chain", "ip", "journey", "between"))?.[1] ?? 0);
  }

  stop() {
    for (const holder of this.#holders) holder.kill("SIGKILL");
  }

  async #build() {
    this.#router = await this.#namespace();
    this.#run(this.#router, "ip", "link", "set", "lo", "up");
    this.#run(this.#router, "ip", "address", "add", `${SERVER_ADDRESS}/32`, "dev", "lo");
    for (const home of [1, 2]) {
      const pid = await this.#namespace();
      this.#homes.push(pid);
      // An IPv6 address takes two seconds to be sure of itself, and is a changed network to the browser then.
      this.#run(pid, "sh", "-c", "for each in /proc/sys/net/ipv6/conf/*/disable_ipv6; do [ ! -e $each ] || echo 1 >$each; done");
      this.#run(this.#router, "ip", "link", "add", `home${home}`, "type", "veth", "peer", "name", "eth0", "netns", String(pid));
      this.#run(this.#router, "ip", "address", "add", `10.210.${home}.1/24`, "dev", `home${home}`);
      this.#run(this.#router, "ip", "link", "set", `home${home}`, "up");
      this.#run(pid, "ip", "link", "set", "lo", "up");
      this.#run(pid, "ip", "address", "add", `10.210.${home}.2/24`, "dev", "eth0");
      this.#run(pid, "ip", "link", "set", "eth0", "up");
      this.#run(pid, "ip", "route", "add", "default", "via", `10.210.${home}.1`);
    }
    this.#run(this.#router, "sh", "-c", "echo 1 >/proc/sys/net/ipv4/ip_forward");
    this.open();
  }

  /** One change, of all rules at once. @param {string} rule for what crosses between the homes @param {string} [arriving] for what comes to the server */
  #between(rule, arriving = "") {
    this.#run(this.#router, "nft", `add table ip journey; delete table ip journey; add table ip journey;
      add chain ip journey between { type filter hook forward priority 0; policy accept; }; ${rule && `add rule ip journey between ${rule};`}
      add chain ip journey arriving { type filter hook input priority 0; policy accept; }; ${arriving && `add rule ip journey arriving ${arriving}`}`);
  }

  async #namespace() {
    const holder = spawn("setpriv", HOLDER, { stdio: ["ignore", "ignore", "pipe"] });
    this.#holders.push(holder);
    let said = "";
    holder.stderr.on("data", (text) => { said += text; });
    let ended = false;
    holder.once("error", (error) => { said = error.message; });
    holder.once("close", () => { ended = true; }); // after its last word
    const deadline = Date.now() + READY_WITHIN;
    // unshare has done its part once it has become sleep.
    while (nameOf(holder.pid) !== "sleep") {
      if (ended || Date.now() > deadline) throw new Error(said.trim() || "unshare --net did not start");
      await pause(10);
    }
    return /** @type {number} */ (holder.pid);
  }

  /** @param {number} pid @param {string[]} command */
  #run(pid, ...command) {
    const [program, ...rest] = [...inside(pid), ...command];
    return execFileSync(/** @type {string} */ (program), rest, { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });
  }
}

/** What a process runs, as long as it lives. @param {number | undefined} pid */
function nameOf(pid) {
  try {
    return readFileSync(`/proc/${pid}/comm`, "utf8").trim();
  } catch {
    return "";
  }
}

/** @param {number} pid */
const inside = (pid) => ["nsenter", `--net=/proc/${pid}/ns/net`, "--"];
