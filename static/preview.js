// Shows what the server makes of a text while it is being written.
"use strict";
document.addEventListener("DOMContentLoaded", () => {
  const place = document.getElementById("preview");
  const form = place && document.getElementById(place.dataset.form);
  if (!form) return;
  let timer = 0;
  let latest = 0;
  const show = async () => {
    const mine = ++latest;
    try {
      const answer = await fetch(place.dataset.url, { method: "POST", body: new FormData(form) });
      if (answer.ok && mine === latest) place.innerHTML = await answer.text();
    } catch {
      // The connection is gone; saving will say so.
    }
  };
  form.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(show, 400);
  });
  show();
});
