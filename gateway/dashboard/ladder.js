// The ladder: what each rung said of a proposal, on which figures, and which were not asked.

import { h } from "./dom.js";
import { count } from "./format.js";

const RUNGS = [
  ["rollback", "Not tried before", "It was not refused or taken back before, and nothing it touches rests after a rollback."],
  ["lint", "Sound in itself", "Short, safe to show a model, nothing protected, and on the word of enough people."],
  ["headroom", "Something to win", "What is in force judges some sessions wrongly."],
  ["minibatch", "Wins where it was made", "A first look at the sessions that optimizers may see."],
  ["holdout", "Wins on sessions kept back", "An exact paired test on sessions that no optimizer saw; every look is counted."],
  ["anchors", "Loses no marked session", "Not one episode or example that people marked is judged less rightly."],
  ["fp_budget", "Leaves honest work alone", "At worst (95 %) it disturbs no more honest sessions than allowed."],
  ["second_opinion", "A second judge agrees", "Asked blind and in both orders, where a replay does not show all."],
  ["shadow", "Beside live traffic", "Watched for a time without acting."],
  ["approval", "A person agrees", "A named person puts it in force."],
  ["canary", "In force for some sessions", "Compared with what is in force, session by session, until the evidence decides."],
];
const MARKS = { passed: ["✓", "passed"], refused: ["✕", "refused"], abstained: ["?", "cannot tell"], waiting: ["…", "waits"] };
// Every reason a rung can give, as a sentence; a test holds this list to the ladder's own.
const WHY = {
  fine: null,
  too_many_edits: "It changes too much at once.", too_long: "It brings too much text.", does_not_apply: "It cannot be applied to what is in force.", protected: "It touches a protected clause.",
  does_not_load: "What it would make is no valid policy.", breaks_examples: "A clause would no longer judge its own examples as it says.", changes_nothing: "It changes nothing.",
  copies_evidence: "It copies words out of sessions.", holds_a_secret: "A credential stands in its text.", holds_personal_data: "Somebody's personal data stand in its text.", hides_text: "Its text hides something from whoever reads it.",
  names_a_destination: "Its text names an address to send to.", addresses_a_judge: "Its text speaks to whoever judges.", reaches_out: "A guard that runs foreign code or asks a service is for people to add.",
  passes_failures: "Its clause would let pass what it failed to judge.", not_corroborated: "Too few people or sessions stand behind it.", other_app: "What one app taught is not carried to another.", narrows_nothing: "It says that it takes room away, and may give some.",
  not_from_people: "It says that it picks what people wrote, and brings something else.", one_voice: "It harms more sessions than allowed, of too few keys to take it back by itself: a person has to decide.",
  no_headroom: "What is wrong on record may be nothing.", not_better: "It wins nothing, or loses more.", disturbs: "It disturbs honest work.", holdout_leaked: "Whoever proposed it may have seen what was kept back.",
  holdout_too_small: "Too few labelled sessions are kept back to tell.", not_significant: "The gain may be luck.",
  lost_an_anchor: "A marked session would be judged less rightly.", no_anchors: "No session is marked as an anchor.", over_budget: "It may disturb more honest work than allowed.",
  too_little_honest_traffic: "Too few honest sessions to show that it disturbs none.", second_disagrees: "A second judge would not choose it.", order_matters: "A second judge answers otherwise in the other order, so its word is worth nothing.", no_second: "There is no second judge.",
  watching: "Not watched for long enough yet.", shadow_interferes: "On live traffic it would stop more than allowed.", needs_a_person: "A person has to decide.", person_refused: "A person refused it.", person_approved: "A person approved it.",
  too_many_by_itself: "As many changes as may come by themselves in a day have come; a person can let it pass.", comparing: "Not enough sessions yet.", not_worse: "The sessions under it come to harm no more often.", worse_live: "It harms more sessions than allowed.",
  refused_before: "The same was refused before.", cooling_down: "What it touches rests after a rollback.", overtaken: "What it was made from is no longer in force.", cannot_be_watched: "What it changes has to ask somebody, and cannot be watched beside live traffic.",
};
const SHARES = new Set(["at_most", "total_at_most"]);
const FIGURES = {
  wins: "better on", losses: "worse on", groups: "kept back", p: "chance that it is luck", alpha: "chance allowed", attempt: "look at the hold-out", at_most: "at most", total_at_most: "all guards together at most",
  new: "honest sessions newly disturbed", honest: "honest sessions", wrong: "judged wrongly", of: "of", lost: "lost", anchors: "marked", better: "for it", worse: "against it", torn: "torn",
  requests: "requests watched", extra: "more stopped", sessions: "sessions", harmed: "came to harm",
  sessions_before: "sessions under what is in force", harmed_before: "of them came to harm",
};

export function ladder(proposal) {
  const said = new Map(proposal.rungs.map((each) => [each.rung, each]));
  return h("ol.ladder", { "aria-label": "Rungs of the ladder" }, RUNGS.map(([name, title, about]) => rung(said.get(name), title, about)));
}

// A reason as a sentence; null where there is nothing to say.
export const sentence = (why) => WHY[why];

function rung(said, title, about) {
  const [mark, word] = said ? MARKS[said.outcome] ?? ["?", said.outcome] : ["·", "not asked"];
  const why = said ? sentence(said.why) : null;
  return h("li", { class: `o-${said?.outcome ?? "none"}` }, h("span.mark", { "aria-hidden": "true" }, mark),
    h("div", {}, h("div.line", {}, h("b", { title: about }, title), h("span.word", {}, word)),
      why ? h("p", {}, why) : said ? null : h("p.dim", {}, about), said?.note ? h("p", {}, said.note) : null,
      said && ["minibatch", "holdout"].includes(said.rung) ? outcome(said.scores) : null, said ? figures(said.scores) : null));
}

const figures = (scores) => (Object.keys(scores).length === 0 ? null : h("p.figures", {}, Object.entries(scores).map(([name, value]) =>
  h("span.pair", {}, h("i", {}, FIGURES[name] ?? name.replaceAll("_", " ")), ` ${SHARES.has(name) ? `${(value * 100).toFixed(1)} %` : Number.isInteger(value) ? count(value) : value.toPrecision(2)}`))));

// What a replay of recorded sessions shows: better, alike and worse, as parts of a whole.
function outcome({ wins = 0, losses = 0, groups = wins + losses }) {
  const alike = Math.max(0, groups - wins - losses);
  if (!groups) return null;
  const part = (kind, value) => (value ? h(`i.${kind}`, { style: { "flex-grow": value } }) : null);
  return h("div.outcome", { role: "img", "aria-label": `${wins} better, ${alike} alike, ${losses} worse` }, part("better", wins), part("alike", alike), part("worse", losses));
}
