// Starts the browsers of the machine, with cameras and microphones that are always there.

import { execFileSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import puppeteer from "puppeteer-core";
import { temporaryFolder } from "./server.js";

/** @typedef {import("puppeteer-core").Browser} Browser */

/** @param {string[]} names */
function installed(names) {
  for (const name of names) {
    try {
      return execFileSync("which", [name], { encoding: "utf8" }).trim();
    } catch {
      // The next name may be the one this system uses.
    }
  }
  throw new Error(`none of ${names.join(", ")} is installed: tests/run installs them`);
}

const CHROMIUM = [
  "--disable-background-networking",
  "--disable-background-timer-throttling",
  "--disable-backgrounding-occluded-windows",
  "--disable-component-update",
  "--disable-default-apps",
  "--disable-gpu",
  "--disable-quic",
  "--disable-renderer-backgrounding",
  "--disable-sync",
  "--no-first-run",
  "--autoplay-policy=no-user-gesture-required",
  // A machine whose only interface is the loopback one can run these tests too.
  "--allow-loopback-in-peer-connection",
  // Chromium refuses to start its sandbox as root, which is who CI is.
  ...(process.getuid?.() === 0 ? ["--no-sandbox"] : []),
];

/**
 * @param {{ camera?: "granted" | "refused" | "missing", cameras?: number, trust?: TestAuthority, wrap?: string[] }} [options]
 *   with `trust` certificates are checked for real, against that authority; `wrap` is a command that runs the browser
 * @returns {Promise<Browser>}
 */
export async function chromium({ camera = "granted", cameras = 1, trust, wrap = [] } = {}) {
  const args = [...CHROMIUM];
  if (camera !== "missing") args.push(`--use-fake-device-for-media-stream=device-count=${cameras},display-media-type=monitor,fps=20`);
  args.push(`--use-fake-ui-for-media-stream${camera === "refused" ? "=deny" : ""}`);
  let env = process.env;
  if (trust) {
    const home = temporaryFolder("home");
    trust.install(join(home, ".pki", "nssdb"));
    env = { ...env, HOME: home };
  } else {
    args.push("--ignore-certificate-errors");
  }
  const executablePath = wrapped(wrap, installed(["chromium", "chromium-browser", "google-chrome"]));
  return puppeteer.launch({ browser: "chrome", executablePath, headless: true, pipe: true, args, env });
}

/** A browser is started by the name of one file: that file then holds the command. @param {string[]} wrap @param {string} program */
function wrapped(wrap, program) {
  if (wrap.length === 0) return program;
  const path = join(temporaryFolder("browser"), "start");
  writeFileSync(path, `#!/bin/sh\nexec ${wrap.join(" ")} ${program} "$@"\n`, { mode: 0o755 });
  return path;
}

/**
 * @param {{ trust?: TestAuthority }} [options]
 * @returns {Promise<Browser>}
 */
export async function firefox({ trust } = {}) {
  const userDataDir = temporaryFolder("firefox");
  trust?.install(userDataDir);
  return puppeteer.launch({
    browser: "firefox",
    executablePath: installed(["firefox-esr", "firefox"]),
    headless: true,
    acceptInsecureCerts: !trust,
    userDataDir,
    extraPrefsFirefox: {
      "media.navigator.streams.fake": true,
      "media.navigator.permission.disabled": true,
      "media.peerconnection.ice.loopback": true,
      "media.peerconnection.ice.obfuscate_host_addresses": false,
      "media.autoplay.default": 0,
      "media.autoplay.blocking_policy": 0,
    },
  });
}

/** A name that every browser takes for this machine, for pages and for ICE servers alike (RFC 6761 §6.3). */
export const LOCAL_NAME = "calls.localhost";

/** A certificate authority of this test run alone, and what it signs. */
export class TestAuthority {
  constructor() {
    this.folder = temporaryFolder("authority");
    openssl(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "30", "-subj", "/CN=Turnstone test authority",
      "-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign,cRLSign",
      "-keyout", join(this.folder, "ca.key"), "-out", join(this.folder, "ca.pem")]);
  }

  /** A folder for `--ssl-dir`, with a certificate for these names. @param {string[]} names @returns {string} */
  certificate(names) {
    const folder = temporaryFolder("ssl");
    const [key, request, certificate] = ["privkey1.pem", "request.pem", "cert1.pem"].map((file) => join(folder, file));
    openssl(["req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", `/CN=${names[0]}`,
      "-addext", `subjectAltName=${names.map((name) => `DNS:${name}`).join(",")}`, "-addext", "extendedKeyUsage=serverAuth",
      "-keyout", key, "-out", request]);
    openssl(["x509", "-req", "-in", request, "-CA", join(this.folder, "ca.pem"), "-CAkey", join(this.folder, "ca.key"), "-CAcreateserial",
      "-days", "30", "-copy_extensions", "copyall", "-out", certificate]);
    return folder;
  }

  /** Makes the certificate database in `folder` trust this authority. @param {string} folder */
  install(folder) {
    mkdirSync(folder, { recursive: true });
    execFileSync("certutil", ["-N", "--empty-password", "-d", `sql:${folder}`]);
    execFileSync("certutil", ["-A", "-n", "turnstone-test", "-t", "C,,", "-i", join(this.folder, "ca.pem"), "-d", `sql:${folder}`]);
  }
}

/** @param {string[]} args */
const openssl = (args) => execFileSync("openssl", args, { stdio: ["ignore", "ignore", "pipe"] });
