() => {
  // gr.ImageSlider can only be dragged, has no alternative texts and takes wheel and touch for zooming;
  // this gives it keys, a role and texts, and leaves one-finger and wheel scrolling to the page.
  const root = document.querySelector("#slider");
  if (!root) return;
  const handle = () => root.querySelector("[data-testid=slider]");
  const pictures = () => [...root.querySelectorAll("img")];
  const zoomed = () => pictures().some((p) => p.style.transform && !p.style.transform.includes("scale(1)"));

  const drag = (x) => {
    const bar = handle(), box = bar.getBoundingClientRect();
    const at = (type, target, clientX) => target.dispatchEvent(new MouseEvent(type, {
      view: window, bubbles: true, cancelable: true, button: 0, clientX, clientY: box.top + box.height / 2 }));
    at("mousedown", bar, x);
    at("mousemove", window, x);
    at("mouseup", window, x);
  };
  const middle = () => { const b = handle().getBoundingClientRect(); return b.left + b.width / 2; };
  const frame = () => pictures()[0].getBoundingClientRect();
  const place = (share) => { const f = frame(); drag(f.left + f.width * Math.min(1, Math.max(0, share))); };
  const share = () => { const f = frame(); return f.width ? (middle() - f.left) / f.width : 0.5; };

  const onkey = (event) => {
    const step = { ArrowLeft: -0.05, ArrowDown: -0.05, ArrowRight: 0.05, ArrowUp: 0.05 }[event.key];
    const target = event.key === "Home" ? 0 : event.key === "End" ? 1 : step ? share() + step : null;
    if (target === null) return;
    event.preventDefault();
    place(target);
  };
  const set = (element, name, value) => {
    if (element.getAttribute(name) !== value) element.setAttribute(name, value);
  };
  const dress = () => {
    const texts = [...document.querySelectorAll("#legend .alt")].map((e) => e.textContent);
    pictures().forEach((picture, i) => set(picture, "alt", texts[i] || ""));
    const bar = handle();
    if (!bar || !pictures().length) return;
    if (bar.tabIndex !== 0) {
      bar.tabIndex = 0;
      bar.addEventListener("keydown", onkey);
    }
    set(bar, "role", "slider");
    set(bar, "aria-label", "Border between the left and the right picture");
    set(bar, "aria-valuemin", "0");
    set(bar, "aria-valuemax", "100");
    set(bar, "aria-valuenow", String(Math.round(100 * share())));
  };
  for (const place of [root, document.querySelector("#legend")])
    new MutationObserver(dress).observe(place, { childList: true, subtree: true, attributes: true, attributeFilter: ["style", "src"] });

  root.addEventListener("wheel", (e) => { if (!e.ctrlKey) e.stopPropagation(); }, { capture: true, passive: true });
  root.addEventListener("touchstart", (e) => {
    if (e.touches.length === 1 && !zoomed() && !handle()?.contains(e.target)) e.stopPropagation();
  }, { capture: true, passive: true });
  // Ctrl+V anywhere: a pasted picture takes the way of a chosen one.
  document.addEventListener("paste", (event) => {
    if (event.target.closest?.("input:not([type=file]), textarea")) return;
    const file = [...(event.clipboardData?.files || [])].find((f) => f.type.startsWith("image/"));
    const input = document.querySelector("#picture input[type=file]");
    if (!file || !input) return;
    event.preventDefault();
    event.stopPropagation();
    const files = new DataTransfer();
    files.items.add(file);
    input.files = files.files;
    input.dispatchEvent(new Event("change", { bubbles: true }));
    chosen();
  }, { capture: true });

  // On a narrow screen the answer lies below the choice: after a choice the page goes there, again when it is there.
  let waiting = false;
  const narrow = () => window.matchMedia("(max-width: 700px)").matches;
  const calm = () => window.matchMedia("(prefers-reduced-motion: reduce)").matches;
  const toAnswer = () => document.querySelector("#stage").scrollIntoView({ block: "start", behavior: calm() ? "auto" : "smooth" });
  const chosen = () => { waiting = true; if (narrow()) toAnswer(); };
  const arrived = () => { if (waiting && narrow()) toAnswer(); waiting = false; };
  document.querySelector("#examples")?.addEventListener("click", (e) => { if (e.target.closest("button")) chosen(); });
  for (const type of ["change", "drop"]) document.querySelector("#picture").addEventListener(type, chosen, { capture: true });
  for (const place of ["#note", "#slider"])
    new MutationObserver(arrived).observe(document.querySelector(place), { childList: true, subtree: true, attributes: true, attributeFilter: ["src"] });

  // A press anywhere on the picture brings the border there, which is easier than to catch it.
  root.addEventListener("click", (e) => {
    if (e.target.tagName === "IMG" && !zoomed()) drag(e.clientX);
  });
  dress();
}
