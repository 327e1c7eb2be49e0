// Light or dark, and the box that says what is under the pointer.
"use strict";

/** As the system has it, until the button `theme` says otherwise; `redraw` is called after each change. */
function followTheme(redraw) {
  const system = matchMedia("(prefers-color-scheme: dark)");
  const set = dark => {
    document.documentElement.dataset.theme = dark ? "dark" : "light";
    redraw();
  };
  document.getElementById("theme").onclick = () => set(document.documentElement.dataset.theme !== "dark");
  system.addEventListener("change", () => set(system.matches));
  set(system.matches);
}

function showTip(event, lines) {
  const tip = document.getElementById("tip");
  tip.hidden = false;
  tip.textContent = lines.join("\n");
  tip.style.left = `${Math.max(4, Math.min(event.clientX + 14, window.innerWidth - tip.offsetWidth - 8))}px`;
  tip.style.top = `${Math.max(4, Math.min(event.clientY + 14, window.innerHeight - tip.offsetHeight - 8))}px`;
}
function hideTip() { document.getElementById("tip").hidden = true; }
