// The TypeScript SDKs in the loop that most agents are: ask, run what is called, ask again.
import { all, load, play } from "./program.mjs";

const { default: Anthropic } = load("@anthropic-ai/sdk");
const { default: OpenAI } = load("openai");
const CASES = ["answered", "resampled", "refused", "onward", "insisting", "asked"];
const TURNS = 6; // a loop that has gone on so long is a loop that does not end
const SCHEMA = { type: "object", properties: { mark: { type: "string" } }, required: ["mark"] };
const FUNCTION = { name: "deed", description: "Does it.", parameters: SCHEMA };
const told = (scene) => `scene:${scene} Do the deed${scene.endsWith("asked") ? ", bluebird" : ""}.`;

async function loop(scene, turn) {
  const history = [{ role: "user", content: told(scene) }];
  const ran = [];
  for (let at = 1; at <= TURNS; at += 1) {
    const { marks, ended, said, next } = await turn(history);
    ran.push(...marks);
    if (!marks.length) return { ran, turns: at, ended, said };
    history.push(...next);
  }
  return { ran, turns: TURNS, ended: null, said: "" };
}

const anthropic = (streamed) => async (messages) => {
  const request = {
    model: "claude-sonnet-4-5",
    max_tokens: 1024,
    tools: [{ name: "deed", description: "Does it.", input_schema: SCHEMA }],
    messages,
  };
  const sdk = new Anthropic();
  const message = await (streamed ? sdk.messages.stream(request).finalMessage() : sdk.messages.create(request));
  const calls = message.content.filter((block) => block.type === "tool_use");
  const results = calls.map((call) => ({ type: "tool_result", tool_use_id: call.id, content: "done" }));
  const said = message.content.filter((block) => block.type === "text").map((block) => block.text).join("");
  const next = [{ role: "assistant", content: message.content }, { role: "user", content: results }];
  return { marks: calls.map((call) => call.input.mark), ended: message.stop_reason, said, next };
};

const chat = (streamed) => async (messages) => {
  const request = { model: "gpt-5.2", tools: [{ type: "function", function: FUNCTION }], messages };
  const sdk = new OpenAI().chat.completions;
  const reply = await (streamed ? sdk.stream(request).finalChatCompletion() : sdk.create(request));
  const { message, finish_reason } = reply.choices[0];
  const calls = message.tool_calls ?? [];
  const results = calls.map((call) => ({ role: "tool", tool_call_id: call.id, content: "done" }));
  const marks = calls.map((call) => JSON.parse(call.function.arguments).mark);
  return { marks, ended: finish_reason, said: message.content, next: [message, ...results] };
};

const responses = (streamed) => async (input) => {
  const request = { model: "gpt-5.2", tools: [{ type: "function", strict: false, ...FUNCTION }], store: false, input };
  const sdk = new OpenAI().responses;
  const reply = streamed
    ? (await all(await sdk.create({ ...request, stream: true }))).at(-1).response
    : await sdk.create(request);
  const calls = reply.output.filter((item) => item.type === "function_call");
  const results = calls.map((call) => ({ type: "function_call_output", call_id: call.call_id, output: "done" }));
  const texts = reply.output.filter((item) => item.type === "message").flatMap((item) => item.content);
  const said = texts.map((part) => part.text ?? "").join("");
  const marks = calls.map((call) => JSON.parse(call.arguments).mark);
  return { marks, ended: reply.status, said, next: [...reply.output, ...results] };
};

const scenes = {};
for (const [wire, over] of Object.entries({ anthropic, chat, responses }))
  for (const lane of ["json", "stream"])
    for (const each of CASES) {
      const name = `${wire}_${lane}_${each}`;
      scenes[name] = () => loop(name, over(lane === "stream"));
    }
await play(scenes);
