/* What htmx leaves to the page: a stream that always comes back, times that run, and forms that are never lost. */
(() => {
  "use strict";
  const byId = (id) => document.getElementById(id);
  const language = document.documentElement.lang || "en";

  // Times: the server writes UTC, the reader sees their own clock.
  const clockText = new Intl.DateTimeFormat(language, { timeStyle: "short" });
  const dayText = new Intl.DateTimeFormat(language, { dateStyle: "medium", timeStyle: "short" });
  function localTimes() {
    for (const time of document.querySelectorAll("time[datetime]")) {
      const at = new Date(time.dateTime);
      if (isNaN(at)) continue;
      const near = Math.abs(Date.now() - at) < 12 * 3600e3;
      const text = (near ? clockText : dayText).format(at);
      if (time.textContent !== text) time.textContent = text;
    }
  }

  // Countdowns carry the seconds that were left when the server wrote them, so a wrong clock here does no harm.
  const marks = new WeakMap();
  function tick() {
    for (const span of document.querySelectorAll("[data-left], [data-gone]")) {
      const seconds = span.dataset.left ?? span.dataset.gone;
      let mark = marks.get(span);
      if (!mark || mark.seconds !== seconds) marks.set(span, (mark = { seconds, at: Date.now() }));
      const passed = (Date.now() - mark.at) / 1000;
      const rest = Math.max(0, Math.round(span.dataset.left !== undefined ? seconds - passed : +seconds + passed));
      const text = `${Math.floor(rest / 60)}:${String(rest % 60).padStart(2, "0")}`;
      if (span.textContent !== text) span.textContent = text;
    }
  }

  // The stream. Its first connection is retried here, later ones by hx-sse.
  const stream = byId("stream");
  const lost = byId("reconnecting");
  let notice = 0, wait = 1000, retry = 0;
  function quiet() {
    if (!notice && lost) notice = setTimeout(() => { lost.hidden = false; }, 10000);
  }
  function upToDate() {
    if (!lost) return;
    lost.hidden = true;
    lost.querySelector("time").dateTime = new Date().toISOString();
  }
  function heard() {
    clearTimeout(notice);
    notice = 0;
    wait = 1000;
    upToDate();
    localTimes();
    tick();
  }
  function connectAgain() {
    clearTimeout(retry);
    retry = setTimeout(() => {
      wait = Math.min(wait * 2, 15000);
      if (!stream._htmx?.sse) htmx.process(stream, true);
    }, wait);
  }
  if (stream) {
    for (const name of ["htmx:error", "htmx:response:error"]) {
      stream.addEventListener(name, (event) => {
        if (event.target !== stream || stream._htmx?.sse) return;
        quiet();
        connectAgain();
      });
    }
    stream.addEventListener("htmx:sse:error", quiet);
    stream.addEventListener("htmx:sse:before:connection", (event) => { if (event.detail.connection.attempt) quiet(); });
    stream.addEventListener("htmx:sse:after:connection", heard);
    byId("refresh")?.addEventListener("htmx:after:swap", () => {
      // The page shows the present, whether the stream is back or not.
      clearTimeout(notice);
      notice = 0;
      upToDate();
      // An answer that is not final, after the stream was closed as done: something moved after all.
      if (byId("order-status").dataset.final === "false" && !document.hidden && !stream._htmx?.sse && !retry) connectAgain();
    });
    stream.addEventListener("htmx:sse:after:connection", () => { clearTimeout(retry); retry = 0; });
  }

  // Without htmx (a blocker, a broken download) the page still turns: it is loaded again while something is pending.
  if (stream && !window.htmx && byId("order-status")?.dataset.final === "false") {
    setTimeout(() => location.reload(), 5000);
  }

  // A page of a sign-in that Back brings out of the browser's memory is asked for again: the sign-in may have ended.
  addEventListener("pageshow", (event) => {
    if (event.persisted && document.body.dataset.signedIn !== undefined) location.reload();
  });

  // A form that htmx could not send is sent the plain way, so that whatever is wrong is said on a page.
  // 409 and 422 are answers that the fragment itself shows; an abort is no failure.
  document.addEventListener("htmx:response:error", (event) => {
    if (![409, 422].includes(event.detail.ctx.response.status)) sendPlainly(event.detail.ctx.sourceElement);
  });
  document.addEventListener("htmx:error", (event) => sendPlainly(event.detail.ctx?.sourceElement));
  function sendPlainly(form) {
    if (form?.matches?.("form[method=post]")) form.submit();
  }

  // Who stood on a button that a change took away stands on the new heading, and not at the top of the page.
  let within = false;
  document.addEventListener("htmx:before:swap", (event) => {
    // A refresh that took longer than the stream would show again what was before.
    const told = /data-seq="(\d+)"/.exec(event.detail.ctx.text);
    if (told && +told[1] < +byId("order-status")?.dataset.seq) event.preventDefault();
  });
  document.addEventListener("htmx:before:swap", () => { within = !!byId("order-status")?.contains(document.activeElement); });
  document.addEventListener("htmx:after:swap", () => {
    localTimes();
    tick();
    if (within && document.activeElement === document.body) byId("status-title")?.focus({ preventScroll: true });
  });
  localTimes();
  tick();
  setInterval(tick, 1000);

  // A page whose only form goes on to the acquirer sends it at once; the button is there for everyone else.
  byId("post-on")?.requestSubmit();
})();
