// Tools of MCP servers: what they were when they were accepted, what they are now, and a person's word on a change.

import { get, may, post, who } from "./api.js";
import { difference } from "./diff.js";
import { announce, ask, h, put } from "./dom.js";
import { count, plural } from "./format.js";
import { pretty } from "./holdcard.js";
import { empty, failure, table, time } from "./parts.js";

export async function tools(draw) {
  const found = await get("/api/mcp/tools");
  const wrong = h("div");
  const approve = async (tool) => {
    try {
      if (await approved(tool)) await tools(draw);
    } catch (error) {
      put(wrong, failure(error));
      wrong.scrollIntoView();
    }
  };
  const servers = Map.groupBy(found.tools, (each) => each.server);
  const changed = found.tools.filter((each) => each.state === "changed").length;
  draw(h("div.page.tools", {}, wrong,
    h("div.bar", {}, h("h1", {}, "Tools"), h("span.dim", {}, `${plural(servers.size, "MCP server")}, ${plural(found.tools.length, "tool")}`),
      changed ? h("span.verdict.v-hold", {}, `${plural(changed, "tool")} changed since accepted`) : null),
    servers.size ? [...servers].map(([name, of]) => server(name, of, approve)) : empty("No MCP server was used yet.", "[mcp.NAME] in stepwarden.toml puts one behind this gateway; its tools are pinned as they are first seen.")));
}

function server(name, of, approve) {
  const waiting = of.filter((each) => each.state === "changed");
  const pinned = of.filter((each) => each.state !== "changed");
  return h("section", {}, h("h2", {}, name, h("span.tag", {}, plural(of.length, "tool"))),
    waiting.map((each) => change(each, approve)),
    pinned.length ? table({ label: `Tools of ${name}`, columns: ["Tool", "Pinned", "Accepted by", "Its server proposes", "Definition"], rows: pinned.map((each) => h("tr", {}, h("th.tool", { scope: "row" }, each.tool), h("td", {}, time(each.seen_at)), h("td", {}, each.approved_by ?? h("span.dim", {}, "first sight")),
        h("td", {}, each.tags.map((tag) => h("span.tag", {}, tag))),
        h("td", {}, h("details", {}, h("summary", {}, `${count(each.definition.length)} characters`), h("pre.text", { tabindex: "0", "aria-label": `Definition of ${each.tool}` }, pretty(each.definition)))))) }) : null);
}

function change(tool, approve) {
  return h("article.change", { "aria-label": `Changed tool ${tool.tool}` },
    h("div.line", {}, h("strong.tool", {}, tool.tool), h("span.verdict.v-hold", {}, "changed"), time(tool.seen_at), tool.tags.map((tag) => h("span.tag", { title: "What its server says of it" }, tag)), h("span.grow"),
      may("administer") ? h("button.approve", { type: "button", onclick: () => approve(tool) }, "Approve…") : null),
    difference(pretty(tool.definition), pretty(tool.proposed)));
}

async function approved(tool) {
  const values = await ask({
    title: `Accept ${tool.tool} as it is now?`,
    text: "From here on agents see this definition and can call it. Read what changed: a tool's description is an instruction to the model.",
    fields: [{ name: "by", label: "Your name, for the audit log", value: who().name ?? "", required: true }],
    yes: "Approve",
  });
  if (values === null) return false;
  await post(`/api/mcp/tools/${encodeURIComponent(tool.server)}/${encodeURIComponent(tool.tool)}/approve`, { by: values.by });
  announce("The tool is accepted.");
  return true;
}
