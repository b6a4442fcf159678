// A wire between a page and the server that can be cut, as a train's tunnel does, or slow: TCP connections passed on, or not.

import { once } from "node:events";
import { connect, createServer } from "node:net";
import { Transform } from "node:stream";

export class Wire {
  /** @type {Set<import("node:net").Socket>} */
  #ends = new Set();
  #whole = true;
  /** How fast each connection is towards the server, in bytes per second. */
  rate = Infinity;
  /** How many bytes went towards the server. */
  passed = 0;

  /** @param {import("./server.js").Server} server its HTTPS port is where the wire leads */
  static async to(server) {
    const wire = new Wire(server);
    wire.listener.listen(0, "127.0.0.1");
    await once(wire.listener, "listening");
    return wire;
  }

  /** @param {import("./server.js").Server} server */
  constructor(server) {
    this.host = server.host;
    this.listener = createServer((near) => {
      near.on("error", () => {});
      if (!this.#whole) return void near.resetAndDestroy();
      const far = connect(server.port("https"), "127.0.0.1");
      far.on("error", () => {});
      for (const [end, other] of [[near, far], [far, near]]) {
        this.#ends.add(end);
        end.on("close", () => {
          this.#ends.delete(end);
          other.destroy();
        });
      }
      near.pipe(this.#slowly()).pipe(far);
      far.pipe(near);
    });
  }

  #slowly() {
    return new Transform({
      transform: (chunk, _, done) => {
        const pass = () => {
          this.passed += chunk.length;
          done(null, chunk);
        };
        if (this.rate === Infinity) pass();
        else setTimeout(pass, (chunk.length / this.rate) * 1000);
      },
    });
  }

  /** What the page's address starts with, by this wire. */
  get origin() {
    return `https://${this.host}:${/** @type {import("node:net").AddressInfo} */ (this.listener.address()).port}`;
  }

  /** Breaks every connection, and lets none be made. */
  cut() {
    this.#whole = false;
    for (const end of this.#ends) end.resetAndDestroy();
  }

  /** Passes nothing on any more and says nothing: the connections look open. */
  freeze() {
    this.#whole = false;
    for (const end of this.#ends) {
      end.unpipe();
      end.pause();
    }
  }

  mend() {
    this.#whole = true;
    for (const end of this.#ends) if (end.isPaused()) end.resetAndDestroy();
  }

  stop() {
    this.cut();
    this.listener.close();
  }
}
