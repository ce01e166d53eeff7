// An exchange by its id: those without a session have no other place.

import { get } from "./api.js";
import { h } from "./dom.js";
import { ExchangeView } from "./exchangeview.js";

export async function exchange(draw, where) {
  const found = await get(`/api/exchanges/${encodeURIComponent(where.id)}`, { text: 0 });
  if (found.exchange.join) {
    location.replace(`#/sessions/${encodeURIComponent(found.exchange.join.session_id)}?turn=${encodeURIComponent(found.exchange.exchange_id)}`);
    return;
  }
  const view = new ExchangeView();
  draw(h("div.page", {}, h("h1.unseen", {}, "Exchange"), view.element));
  await view.show(found.exchange.exchange_id);
}
