// plotlyframe.js - inside the frame: draws what the page sends, and nothing else; only the page's own origin may send.
addEventListener("message", (e) => {
  if (e.origin === location.origin && e.source === parent) Plotly.react("plot", e.data.data, e.data.layout, { responsive: true, displaylogo: false, showSendToCloud: false, showEditInChartStudio: false });
});
parent.postMessage(typeof Plotly === "undefined" ? "missing" : "ready", location.origin); // missing: the build had no reach of Plotly
