"""The page at /docs: what the function takes, and a form to try it with."""

from __future__ import annotations

import html

__all__ = ["page"]


def page(title: str) -> bytes:
    """Return the page; it reads /openapi.json itself, with a token if one is wanted."""
    return _PAGE.replace("{title}", html.escape(title or "function")).encode()


_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>
body{font:16px/1.5 system-ui,sans-serif;max-width:48rem;margin:2rem auto;padding:0 1rem;
color:#1a1a1a;background:#fff}
table{border-collapse:collapse;width:100%}td,th{text-align:left;padding:.3rem .6rem;
border-bottom:1px solid #ddd;vertical-align:top}
code,pre,textarea,input{font:14px/1.4 ui-monospace,monospace}
textarea,input{width:100%;box-sizing:border-box;padding:.5rem}textarea{height:10rem}
pre{background:#f4f4f4;padding:.8rem;overflow:auto;white-space:pre-wrap}
button{padding:.4rem 1.2rem;margin:.6rem 0}
@media(prefers-color-scheme:dark){body{background:#1a1a1a;color:#eee}pre,textarea,input
{background:#2a2a2a;color:#eee;border:1px solid #444}td,th{border-color:#444}}
</style></head><body>
<h1>{title}</h1><p id="words"></p>
<label id="secret" hidden>Token <input id="token" type="password" autocomplete="off">
</label>
<h2>Parameters</h2>
<table><thead><tr><th>name</th><th>type</th><th>default</th></tr></thead>
<tbody id="rows"></tbody></table>
<h2>Try it</h2>
<label for="body">POST / with this body</label>
<textarea id="body" spellcheck="false"></textarea>
<button id="send">Send</button><pre id="answer" hidden></pre>
<p><a href="/openapi.json">/openapi.json</a> &middot; <a href="/metrics">/metrics</a>
&middot; <a href="/readyz">/readyz</a></p>
<script>
"use strict";
const at = id => document.getElementById(id);
const headers = () => at("token").value
  ? {authorization: "Bearer " + at("token").value} : {};
const kind = (s, all) => s.$ref ? kind(all[s.$ref.split("/").pop()] || {}, all)
  : s.anyOf ? s.anyOf.map(one => kind(one, all)).join(" or ")
  : s.enum ? s.enum.map(one => JSON.stringify(one)).join(" or ")
  : s.type === "array" ? "list of " + kind(s.items || {}, all) : s.type || "anything";
const example = s => s.default !== undefined ? s.default
  : ({integer: 0, number: 0, boolean: false, array: [], object: {}, string: ""})[s.type]
    ?? null;
async function load() {
  const answer = await fetch("/openapi.json", {headers: headers()});
  at("secret").hidden = answer.status !== 401 && !at("token").value;
  if (!answer.ok) { at("words").textContent = (await answer.json()).error; return; }
  const told = await answer.json(), post = told.paths["/"].post;
  const all = told.components.schemas || {};
  const body = post.requestBody && post.requestBody.content["application/json"];
  const schema = body ? body.schema : {properties: {}}, needed = schema.required || [];
  at("words").textContent = post.description || "";
  at("rows").replaceChildren();
  const first = {};
  for (const [name, one] of Object.entries(schema.properties || {})) {
    const row = at("rows").insertRow();
    for (const text of [name + (needed.includes(name) ? "" : " (optional)"),
        kind(one, all), one.default === undefined ? "" : JSON.stringify(one.default)])
      row.insertCell().textContent = text;
    first[name] = example(one);
  }
  if (!at("body").value) at("body").value = JSON.stringify(first, null, 2);
}
at("token").addEventListener("change", load);
at("send").addEventListener("click", async () => {
  const out = at("answer"), began = performance.now();
  out.hidden = false; out.textContent = "...";
  try {
    const answer = await fetch("/", {method: "POST", body: at("body").value,
      headers: {"content-type": "application/json", ...headers()}});
    const text = await answer.text(), took = (performance.now() - began).toFixed(0);
    out.textContent = answer.status + " in " + took + " ms\\n\\n" + text;
  } catch (failure) { out.textContent = String(failure); }
});
load();
</script></body></html>
"""
