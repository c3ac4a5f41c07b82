// Before anything is drawn: dark or light, if somebody chose. A classic script, for a module would come too late.

try {
  const chosen = JSON.parse(localStorage.getItem("playground.theme"));
  if (chosen === "dark" || chosen === "light") document.documentElement.dataset.theme = chosen;
} catch {
  // nothing is remembered: as the system has it
}
