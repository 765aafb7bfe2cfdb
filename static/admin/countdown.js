// Counts down the seconds beside a button that can be pressed only so long, and then takes it away.
document.querySelectorAll(".countdown").forEach((left) => {
  const until = Date.now() + 1000 * left.dataset.seconds;
  const tick = setInterval(() => {
    const seconds = Math.max(0, Math.ceil((until - Date.now()) / 1000));
    left.textContent = seconds + " s";
    if (seconds === 0) {
      clearInterval(tick);
      left.closest("form").remove();
    }
  }, 250);
});
