"""The page's style: light or dark as the reader has it, one column on a phone, ink on white on paper."""

STYLE = """
:root{color-scheme:light dark;--ink:#1b1d22;--dim:#5d6470;--paper:#fff;--card:#f5f6f8;--rule:#d9dce2;--bad:#b3261e;
--c0:#2563eb;--c1:#c2410c;--c2:#15803d;--c3:#9333ea;--c4:#b45309;--c5:#0e7490}
@media(prefers-color-scheme:dark){:root{--ink:#e8eaef;--dim:#a2a9b6;--paper:#14161b;--card:#1e2128;--rule:#383d48;
--bad:#ff9d94;--c0:#7cacff;--c1:#ff9b66;--c2:#6fd08c;--c3:#cf9bff;--c4:#f0b14d;--c5:#5ccbe0}}
*{box-sizing:border-box}
body{margin:0 auto;padding:1.5rem 1rem 4rem;max-width:72rem;color:var(--ink);background:var(--paper);
font:16px/1.5 system-ui,sans-serif}
h1{font-size:1.7rem;margin:.2rem 0}h2{font-size:1.2rem;margin:2.4rem 0 .6rem}p{margin:.4rem 0}.dim{color:var(--dim)}
table{border-collapse:collapse;font-size:.9rem;font-variant-numeric:tabular-nums}
.wide{overflow-x:auto}
th,td{text-align:left;padding:.25rem .9rem .25rem 0;border-bottom:1px solid var(--rule);vertical-align:top}
th{font-weight:600;color:var(--dim)}td.n,th.n{text-align:right}td{overflow-wrap:break-word}td:first-child,td.n{white-space:nowrap}
code,pre{font:.88rem/1.5 ui-monospace,monospace}pre{background:var(--card);padding:.8rem;border-radius:6px;
white-space:pre-wrap;overflow-wrap:anywhere}
figure{margin:0}figcaption{font-size:.9rem;margin:.2rem 0}
.grids,.charts{display:grid;gap:1.2rem;grid-template-columns:repeat(auto-fill,minmax(min(100%,15rem),1fr))}
.charts{grid-template-columns:repeat(auto-fill,minmax(min(100%,30rem),1fr))}
img{max-width:100%;height:auto;image-rendering:pixelated;border-radius:4px;display:block}
.grids img{width:100%}
svg{width:100%;height:auto;background:var(--card);border-radius:6px}
svg text{font:11px system-ui,sans-serif;fill:var(--dim)}
.rule{stroke:var(--rule)}.mark{stroke:var(--bad);stroke-dasharray:4 3;stroke-width:1.5}
polyline{fill:none;stroke-width:1.6;stroke-linejoin:round}
.key{margin-left:.7em;white-space:nowrap}.key::before{content:"";display:inline-block;width:.9em;height:.25em;
margin-right:.35em;vertical-align:middle;background:currentColor}
.c0{stroke:var(--c0)}.c1{stroke:var(--c1)}.c2{stroke:var(--c2)}.c3{stroke:var(--c3)}.c4{stroke:var(--c4)}.c5{stroke:var(--c5)}
.k0{color:var(--c0)}.k1{color:var(--c1)}.k2{color:var(--c2)}.k3{color:var(--c3)}.k4{color:var(--c4)}.k5{color:var(--c5)}
.bad{color:var(--bad)}
@media print{:root{color-scheme:light;--ink:#000;--dim:#444;--paper:#fff;--card:#fff;--rule:#bbb;--bad:#900;
--c0:#1d4ed8;--c1:#c2410c;--c2:#15803d;--c3:#7e22ce;--c4:#92400e;--c5:#155e75}
body{max-width:none;padding:0;font-size:11pt}figure,tr,pre{break-inside:avoid}h2{break-after:avoid}
img,svg{print-color-adjust:exact}}
"""
