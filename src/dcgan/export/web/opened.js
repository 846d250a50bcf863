// A page that was opened as a file gets none of its modules from the browser; this script is none, and says so.

if (location.protocol === "file:") {
  const hint = document.querySelector("#hint");
  hint.className = "wrong";
  hint.textContent =
    "Browsers run no modules of files. Put this folder on any static host, or look at it from here: run " +
    "“python -m http.server” in this folder, and open localhost:8000.";
}
