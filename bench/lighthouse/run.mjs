// Lighthouse on catalogue, product, cart, checkout and order page of a running demo shop, on a phone and on a desktop.
// Usage: npm start -- [--shop http://localhost:8000] [--runs 3] [--only checkout]
import { parseArgs } from "node:util";
import { launch } from "chrome-launcher";
import lighthouse, { desktopConfig } from "lighthouse";

const { values: options } = parseArgs({
  options: {
    shop: { type: "string", default: "http://localhost:8000" },
    product: { type: "string", default: "six-cedar-pencils" },
    runs: { type: "string", default: "3" },
    only: { type: "string", default: "" },
    chromium: { type: "string", default: process.env.CHROMIUM ?? "/usr/bin/chromium" },
  },
});
const CATEGORIES = ["performance", "accessibility", "best-practices", "seo"];
const ADDRESS = {
  email: "ada@example.com", name: "Ada Byron", line1: "1 Quiet Lane", line2: "", city: "Taipei", postcode: "100",
  country: "TW", method: "kpay",
};

// A visitor with a cookie, who has one product in the cart and one order.
class Visitor {
  cookie = "";

  async request(path, form) {
    const headers = { Cookie: this.cookie, "Sec-Fetch-Site": "same-origin" };
    const body = form && new URLSearchParams(form);
    const answer = await fetch(options.shop + path, { method: form ? "POST" : "GET", headers, body, redirect: "manual" });
    if (answer.status >= 400) throw new Error(`${path}: ${answer.status}`);
    const set = answer.headers.getSetCookie().map((one) => one.split(";")[0]);
    if (set.length) this.cookie = set.join("; ");
    return { html: await answer.text(), location: answer.headers.get("Location") };
  }

  async add() {
    const { html } = await this.request(`/products/${options.product}`);
    await this.request("/cart/lines", { csrf_token: field(html, "csrf_token"), sku: field(html, "sku"), quantity: "1" });
  }

  async order() {
    const { html } = await this.request("/checkout");
    const carried = ["csrf_token", "key", "terms", "shown", "customer"].map((name) => [name, field(html, name)]);
    const { location } = await this.request("/checkout", { ...ADDRESS, ...Object.fromEntries(carried) });
    if (!location?.includes("/orders/")) throw new Error("the shop has placed no order");
    return new URL(location, options.shop).pathname;
  }
}

function field(html, name) {
  const found = html.match(new RegExp(`name="${name}" value="([^"]*)"`));
  if (!found) throw new Error(`the page has no field ${name}`);
  return found[1].replaceAll("&#34;", '"').replaceAll("&amp;", "&");
}

const median = (numbers) => numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)];

async function measure(chrome, path, cookie, isPrivate, config) {
  // Pages of one visitor are kept from search engines on purpose.
  const flags = { port: chrome.port, onlyCategories: CATEGORIES, skipAudits: isPrivate ? ["is-crawlable"] : [] };
  const settings = { ...flags, logLevel: "error", extraHeaders: { Cookie: cookie } };
  const { lhr } = await lighthouse(options.shop + path, settings, config);
  if (lhr.runtimeError) throw new Error(`${path}: ${lhr.runtimeError.message}`);
  const scores = CATEGORIES.map((name) => Math.round(lhr.categories[name].score * 100));
  const weighted = CATEGORIES.flatMap((name) => lhr.categories[name].auditRefs.filter((ref) => ref.weight > 0));
  const lost = weighted.map(({ id }) => lhr.audits[id]).filter((audit) => audit.score !== null && audit.score < 0.995);
  return { scores, lost: lost.map((audit) => `${audit.id} ${audit.score.toFixed(2)} ${audit.displayValue ?? ""}`) };
}

const visitor = new Visitor();
await visitor.add();
const order = await visitor.order();
await visitor.add();
const pages = {
  catalogue: ["/", false], product: [`/products/${options.product}`, false], cart: ["/cart", true],
  checkout: ["/checkout", true], order: [order, true],
};
const chrome = await launch({ chromePath: options.chromium, chromeFlags: ["--headless=new", "--no-sandbox", "--disable-gpu"] });
const below = [];
try {
  console.log(`| page | screen | ${CATEGORIES.join(" | ")} | performance of each run |\n|---|---|---|---|---|---|---|`);
  for (const [name, [path, isPrivate]] of Object.entries(pages)) {
    if (!name.startsWith(options.only)) continue;
    for (const [screen, config] of [["phone", undefined], ["desktop", desktopConfig]]) {
      const runs = [];
      for (let run = 0; run < Number(options.runs); run += 1) runs.push(await measure(chrome, path, visitor.cookie, isPrivate, config));
      const scores = CATEGORIES.map((_, at) => median(runs.map((run) => run.scores[at])));
      console.log(`| ${name} | ${screen} | ${scores.join(" | ")} | ${runs.map((run) => run.scores[0]).join(", ")} |`);
      if (Math.min(...scores) < 100) below.push(`${name}, ${screen}: ${[...new Set(runs.flatMap((run) => run.lost))].join("; ")}`);
    }
  }
} finally {
  await chrome.kill();
}
if (below.length) console.log(`\nBelow 100:\n${below.join("\n")}`);
process.exitCode = below.length ? 1 : 0;
