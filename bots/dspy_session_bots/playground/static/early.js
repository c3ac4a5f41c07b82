// Before anything is drawn: dark or light, if somebody chose; and who wants a new thread already. A classic script, for a
// module would come too late.

try {
  const chosen = JSON.parse(localStorage.getItem("playground.theme"));
  if (chosen === "dark" || chosen === "light") document.documentElement.dataset.theme = chosen;
} catch {
  // nothing is remembered: as the system has it
}

document.addEventListener("click", ({ target }) => {
  if (!document.documentElement.dataset.ready && target.closest?.("#new-thread")) {
    document.documentElement.dataset.wants = "new-thread";
  }
});
