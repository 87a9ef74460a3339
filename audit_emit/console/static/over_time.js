// The bars over time in a page: each is a link. The mouse tells what is below it and marks a range to
// look at; the keyboard goes from bar to bar with the arrows, as one stop of the tab key.
import { t } from "../messages.js";

const place = document.getElementById("over-time");

async function bars() {
  const answer = await fetch(place.dataset.url);
  if (!answer.ok) return;
  const found = new DOMParser().parseFromString(await answer.text(), "image/svg+xml").documentElement;
  const links = [...found.querySelectorAll("a")];
  if (!links.length) return;
  const caption = place.querySelector("figcaption");
  const rangeOf = (link) => { const query = new URL(link.getAttribute("href"), location.href).searchParams; return [query.get("since"), query.get("until")]; };
  const plain = (ts) => ts.replace("T", " ").replace(/(\.000)?Z$/, "");
  const extent = { from: plain(rangeOf(links[0])[0]), to: plain(rangeOf(links.at(-1))[1]) };
  const newest = found.dataset.newest;
  const whole = newest ? t("range_newest", { ...extent, records: newest }) : t("range", extent);
  const say = (text) => { caption.textContent = text; };
  place.prepend(document.importNode(found, true));
  const svg = place.querySelector("svg");
  const all = [...svg.querySelectorAll("a")];
  const told = (link) => say(link.getAttribute("aria-label"));
  say(whole);
  all.forEach((link, at) => {
    link.setAttribute("tabindex", at === all.length - 1 ? "0" : "-1");
    link.addEventListener("focus", () => told(link));
    link.addEventListener("blur", () => say(whole));
  });
  svg.addEventListener("keydown", (event) => {
    const at = all.indexOf(document.activeElement);
    const to = { ArrowLeft: at - 1, ArrowRight: at + 1, Home: 0, End: all.length - 1 }[event.key];
    if (at < 0 || to === undefined || !all[to]) return;
    event.preventDefault();
    all[at].setAttribute("tabindex", "-1");
    all[to].setAttribute("tabindex", "0");
    all[to].focus();
  });

  let begun = null;
  const under = (event) => document.elementFromPoint(event.clientX, svg.getBoundingClientRect().top + 2)?.closest("#over-time svg a");
  const marked = (one, other) => { const ends = [all.indexOf(one), all.indexOf(other)].sort((a, b) => a - b); return all.slice(ends[0], ends[1] + 1); };
  svg.addEventListener("dragstart", (event) => event.preventDefault());
  svg.addEventListener("pointerdown", (event) => { begun = event.button === 0 && !event.ctrlKey && !event.metaKey && !event.shiftKey ? under(event) : null; });
  svg.addEventListener("pointermove", (event) => {
    const here = under(event);
    if (!here) return;
    if (!begun) { told(here); return; }
    const those = marked(begun, here);
    all.forEach((link) => link.classList.toggle("dragged", those.includes(link)));
    say(t("range", { from: plain(rangeOf(those[0])[0]), to: plain(rangeOf(those.at(-1))[1]) }));
  });
  svg.addEventListener("pointerleave", () => { begun = null; all.forEach((link) => link.classList.remove("dragged")); say(whole); });
  svg.addEventListener("pointerup", (event) => {
    const here = under(event);
    if (begun && here && here !== begun) {
      const those = marked(begun, here);
      const to = new URL(place.dataset.page, location.href);
      to.searchParams.set("since", rangeOf(those[0])[0]);
      to.searchParams.set("until", rangeOf(those.at(-1))[1]);
      svg.addEventListener("click", (click) => click.preventDefault(), { once: true, capture: true });
      location.href = to.href;
    }
    begun = null;
  });
}

if (place) bars();
