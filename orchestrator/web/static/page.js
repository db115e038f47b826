/* What pages do besides being HTML: they stay up to date without disturbing whoever reads or types. */
"use strict";
(() => {
  const link = document.getElementById("link");
  const live = document.getElementById("live");
  const NEAR = 40; // pixels from its end within which a conversation is followed

  /* Somebody is at work in there: what they typed or chose must not be taken from under them. */
  function inUse(part) {
    const fields = [...part.querySelectorAll("textarea, select, input:not([type=hidden])")];
    return fields.some((field) => field === document.activeElement || isChanged(field));
  }

  function isChanged(field) {
    if (field.type === "checkbox") return field.checked !== field.defaultChecked;
    if (field.tagName !== "SELECT") return field.value !== field.defaultValue;
    const first = [...field.options].findIndex((option) => option.defaultSelected);
    return field.selectedIndex !== Math.max(first, 0);
  }

  /* Sent again as it is, after a stream was lost: nobody has to hear it again, or lose their selection. */
  function isSame(some, others) {
    return some.length === others.length && [...some].every((one, at) => one.isEqualNode(others[at]));
  }

  const log = document.querySelector(".log");
  let follows = true;
  if (log) {
    log.scrollTop = log.scrollHeight;
    log.addEventListener("scroll", () => {
      follows = log.scrollHeight - log.scrollTop - log.clientHeight < NEAR;
    });
  }

  document.body.addEventListener("htmx:oobBeforeSwap", ({ detail }) => {
    const same = isSame(detail.target.childNodes, detail.fragment.childNodes);
    if (same || inUse(detail.target)) detail.shouldSwap = false;
  });
  document.body.addEventListener("htmx:oobAfterSwap", (event) => {
    if (log && log.contains(event.detail.target) && follows) log.scrollTop = log.scrollHeight;
  });

  function say(words, kind) {
    link.textContent = words;
    link.className = kind;
  }
  document.body.addEventListener("htmx:sseOpen", () => say("live", "open"));
  document.body.addEventListener("htmx:sseError", () => say("trying again", "closed"));

  /* The stream's address says what the page came with, which is no longer what it has. */
  document.body.addEventListener("htmx:sseMessage", ({ target }) => {
    target.setAttribute("sse-connect", target.getAttribute("sse-connect").replace(/~\w+/g, "~"));
  });

  /* A browser gives a site six connections: a page that nobody sees needs none. */
  if (live) {
    let stream = live.innerHTML;
    document.addEventListener("visibilitychange", () => {
      if (document.hidden) stream = live.innerHTML || stream;
      htmx.swap(live, document.hidden ? "" : stream, { swapStyle: "innerHTML" });
    });
  }
})();
