/**
 * Whether what somebody sends gets here, though ICE is content: a firewall may let connectivity checks pass and nothing
 * else, a tunnel only what is small. No IO: numbers of the browser's statistics in, a verdict out.
 *
 * Evidence, not silence alone, is what counts: the other side's reports arrive as long as anything does, and tell how much
 * it has sent. A phone that has taken the camera away from its page is then no broken path.
 *
 * @typedef {{id: string, shown: number, sent: number}} Picture one that is being received: frames shown so far, and packets sent by its sender's word
 * @typedef {{path: string, relayed: boolean, bytes: number, pictures: Picture[]}} Sample `path` is the pair of candidates we send by, `bytes`
 *   all that has arrived by any (the other side may send by another), connectivity checks left out
 */

/** How often it is looked, ms. Statistics cost a browser a millisecond or two for each connection. */
export const LOOK_EVERY = 2_000;
/** Looks in a row in vain before a path counts as hollow: longer than ICE takes to notice one that is lost altogether (about 5 s). */
const IN_VAIN = 4;
/** The polite side looks that much longer: whoever is impolite has begun anew by then. Two first offers at once may end without a connection. */
const POLITE_LOOKS = 2;

export class Watch {
  /** Looks in a row at which nothing at all had arrived. */ #silent = 0;
  /** @type {Map<string, number>} the same for each picture: packets were sent, and nothing was shown */ #blind = new Map();
  /** @type {Sample | null} */ #last = null;
  /** Looks in a row at which all was well by a relay. */ #well = 0;
  /** A relay was tried, and has not proved better yet. */ #tried = false;

  /** @param {{polite: boolean}} options */
  constructor({ polite }) {
    this.patience = IN_VAIN + (polite ? POLITE_LOOKS : 0);
  }

  /** Begins to count anew: nothing is expected now, or the connection is another. */
  forget() {
    this.#silent = this.#well = 0;
    this.#blind.clear();
    this.#last = null;
  }

  /** @param {Sample} sample @returns {boolean} whether to leave this path for a relay; once, until a relay has proved better */
  isHollow(sample) {
    const before = this.#last;
    if (!before || before.path !== sample.path) this.forget();
    this.#last = sample;
    if (!before || before.path !== sample.path) return false;

    this.#silent = sample.bytes === before.bytes ? this.#silent + 1 : 0;
    /** @type {Map<string, number>} */
    const blind = new Map();
    for (const { id, shown, sent } of sample.pictures) {
      const last = before.pictures.find((picture) => picture.id === id);
      const looks = this.#blind.get(id) ?? 0;
      if (last && last.shown === shown) blind.set(id, sent > last.sent ? looks + 1 : looks);
    }
    this.#blind = blind;
    const looks = Math.max(this.#silent, ...blind.values());

    if (sample.relayed) {
      this.#well = looks === 0 ? this.#well + 1 : 0;
      if (this.#well >= IN_VAIN) this.#tried = false;
      return false;
    }
    if (this.#tried || looks < this.patience) return false;
    this.#tried = true;
    return true;
  }
}

/** What counts in a connection's statistics; null when they do not tell the path in use. @param {{values(): Iterable<any>}} stats @returns {Sample | null} */
export function sampleOf(stats) {
  /** @type {Map<string, any>} */
  const all = new Map();
  for (const report of stats.values()) all.set(report.id, report);
  const reports = [...all.values()];
  const chosen = reports.find(({ type }) => type === "transport")?.selectedCandidatePairId;
  // Firefox has no such word of the transport, but marks the pair.
  const pairs = reports.filter(({ type }) => type === "candidate-pair");
  const pair = all.get(chosen) ?? pairs.find(({ selected }) => selected);
  if (typeof pair?.bytesReceived !== "number") return null;
  return {
    path: pair.id,
    relayed: [pair.localCandidateId, pair.remoteCandidateId].some((id) => all.get(id)?.candidateType === "relay"),
    bytes: pairs.reduce((sum, { bytesReceived = 0 }) => sum + bytesReceived, 0),
    pictures: reports.filter(({ type, kind }) => type === "inbound-rtp" && kind === "video")
      .map(({ id, framesDecoded = 0, remoteId }) => ({ id, shown: framesDecoded, sent: all.get(remoteId)?.packetsSent ?? 0 })),
  };
}
