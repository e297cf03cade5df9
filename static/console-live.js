/* The page Live: events and figures over a WebSocket, at most as many rows as the server renders, pause, reconnect. */
(() => {
  "use strict";
  const page = document.getElementById("live");
  const rows = page.querySelector("tbody");
  const state = document.getElementById("live-state");
  const pause = document.getElementById("live-pause");
  const most = Number(page.dataset.most);
  const silence = 25000; // milliseconds without a message after which the connection counts as dead
  const longestDelay = 10000;
  let since = Number(page.dataset.since);
  let socket = null;
  let delay = 500;
  let watchdog = 0;
  let isPaused = false;
  let held = []; // events that arrived while paused, the newest `most`
  let heldNumber = 0;
  let heldTiles = "";
  let shownTiles = "";

  const say = (text) => { if (state.textContent !== text) state.textContent = text; };
  const tell = () => {
    if (!isPaused) return say("Connected. New events appear automatically.");
    const kept = heldNumber > most ? ` The newest ${most} are kept.` : "";
    return say(`Paused. ${heldNumber} new event${heldNumber === 1 ? "" : "s"}.${kept}`);
  };

  const show = (event) => {
    let next = rows.firstElementChild;
    while (next && Number(next.dataset.seq) > event.seq) next = next.nextElementSibling;
    if (next && Number(next.dataset.seq) === event.seq) return;
    if (!next && rows.childElementCount >= most) return;
    if (next) next.insertAdjacentHTML("beforebegin", event.html);
    else rows.insertAdjacentHTML("beforeend", event.html);
    while (rows.childElementCount > most) rows.lastElementChild.remove();
  };

  const isNew = (event) => !rows.querySelector(`[data-seq="${event.seq}"]`) && !held.some((one) => one.seq === event.seq);

  const take = (events) => {
    if (!isPaused) return events.forEach(show);
    const added = events.filter(isNew); // an event may be committed after one with a greater number
    heldNumber += added.length;
    held = [...held, ...added].slice(-most);
    return undefined;
  };

  const takeTiles = (html) => {
    if (isPaused) {
      heldTiles = html;
      return;
    }
    if (html === shownTiles) return;
    shownTiles = html;
    const tiles = document.getElementById("live-tiles");
    if (tiles.contains(document.activeElement)) {
      const id = document.activeElement.id;
      tiles.innerHTML = html;
      document.getElementById(id)?.focus();
    } else {
      tiles.innerHTML = html;
    }
  };

  const receive = (text) => {
    const message = JSON.parse(text);
    if (message.type === "snapshot") {
      takeTiles(message.tiles_html);
      take(message.events);
    } else if (message.type === "event") {
      take([message]);
    }
    since = Math.max(since, message.seq);
    tell();
  };

  const listen = () => {
    clearTimeout(watchdog);
    watchdog = setTimeout(() => socket.close(), silence);
  };

  const ended = (event) => {
    clearTimeout(watchdog);
    const isOver = event.code === 4401 || event.code === 4403;
    const reason = event.reason || "Live updates are temporarily unavailable.";
    if (isOver) {
      say(reason + " ");
      if (event.code === 4401) {
        const link = document.createElement("a");
        link.href = page.dataset.signIn;
        link.textContent = "Sign in";
        state.append(link);
      }
      pause.hidden = true;
      return;
    }
    say(`${reason} This page reconnects automatically. If it does not, reload it.`);
    setTimeout(connect, delay * (0.5 + Math.random()));
    delay = Math.min(2 * delay, longestDelay);
  };

  function connect() {
    const address = new URL(location.pathname, location.href);
    address.protocol = location.protocol === "https:" ? "wss:" : "ws:";
    address.search = `?since=${since}`;
    socket = new WebSocket(address);
    listen();
    socket.addEventListener("message", (event) => {
      delay = 500;
      pause.hidden = false;
      listen();
      receive(event.data);
    });
    socket.addEventListener("close", ended);
  }

  pause.addEventListener("click", () => {
    isPaused = !isPaused;
    pause.textContent = isPaused ? "Resume" : "Pause";
    if (!isPaused) {
      held.forEach(show);
      if (heldTiles) takeTiles(heldTiles);
      held = [];
      heldNumber = 0;
      heldTiles = "";
    }
    if (socket.readyState === WebSocket.OPEN) tell();
  });
  addEventListener("pageshow", (event) => { if (event.persisted) location.reload(); });
  connect();
})();
