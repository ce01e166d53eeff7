"""Words: verb families, noun groups and the closed classes that grammar needs.

Families say which verbs can stand for each other in an order ("send", "transfer" and "pay" money). They are what
lets an order be compared with a tool's name and with the user's words without sharing a single word. Lists are of
common words only; adding a product's or a benchmark's own vocabulary here would measure nothing.
"""

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Final

from policies.possessive import compiled


def listed(words: str) -> frozenset[str]:
    """The words of a list that is written as one text."""
    return frozenset(words.split())


FAMILIES: Final[dict[str, str]] = {
    "pay": "pay transfer send wire remit refund reimburse donate deposit settle credit tip withdraw",
    "message": """
        send email mail message write tell notify inform reply respond forward text contact ping alert dm cc
        bcc deliver dispatch submit transmit relay
        """,
    "publish": "post publish upload share tweet announce broadcast comment submit push blog",
    "delete": """
        delete remove erase wipe purge cancel revoke clear drop uninstall unsubscribe discard destroy
        terminate trash kick ban deactivate void
        """,
    "create": """
        create add make set schedule book new generate register open insert draft put place append record
        file start plan enter store save
        """,
    "update": """
        update change modify edit set adjust rename replace move correct reset alter amend switch rotate
        patch increase decrease raise lower extend reschedule redirect
        """,
    "grant": """
        invite add grant give share release sign permit authorize authorise approve allow enable promote
        assign whitelist accept enrol enroll register collaborate
        """,
    "buy": "buy purchase order book reserve pay acquire rent subscribe checkout sell trade",
    "read": """
        get read list search find check view show look fetch retrieve download see visit open browse query
        lookup access navigate go inspect examine collect obtain gather extract pull scan review load track
        monitor export count
        """,
    "run": "run execute deploy install restart start launch invoke call trigger perform apply merge build play",
    "control": """
        turn switch lock unlock open close activate deactivate disable enable set start stop guide steer
        move dim pause arm disarm shut raise lower control operate
        """,
    "block": "block suspend freeze disable lock restrict ban reject deny stop quarantine",
    "copy": """
        copy concatenate duplicate clone compile backup sync mirror combine print include encode attach move
        """,
    "state": """
        summarize summarise recommend say mention claim describe rate rank praise report explain answer
        translate
        """,
    "sign": "sign confirm acknowledge verify validate agree certify log",
}
"""Verbs that can do each other's work, by family. A verb may belong to several."""

NOMINALS: Final[dict[str, str]] = {
    "pay": "payment transaction remittance donation withdrawal payout",
    "message": "message reply notification",
    "publish": "publication announcement",
    "delete": "deletion removal cancellation erasure",
    "update": "modification adjustment change",
    "grant": "invitation permission access approval",
    "buy": "reservation booking purchase acquisition subscription",
    "run": "execution deployment installation",
}
"""Nouns that name the deed of a family, after a light verb: to make a reservation is to reserve."""

LIGHT_REACH: Final = 5
"""Words from a light verb to its noun, at most; "make sure" has none."""

LIGHT_VERBS: Final = listed("make do perform execute initiate complete arrange place issue grant give")

NOUNS: Final[dict[str, str]] = {
    "money": """
        money payment transaction fund funds bank iban amount invoice bill fee balance wallet cash transfer
        rent refund deposit billing payout remittance
        """,
    "mail": "email mail inbox e-mail mailbox gmail outlook smtp newsletter",
    "message": "message chat dm sms channel thread conversation slack inbox text direct whatsapp telegram note",
    "web": "website webpage url link page site web browser blog http article navigate",
    "file": "file document folder drive path attachment directory pdf doc spreadsheet",
    "event": "calendar event meeting appointment schedule invite",
    "secret": "password credential credentials login passcode passphrase secret token key pin",
    "repo": "repository repo code git commit branch github gitlab pull merge issue",
    "order": "order purchase cart checkout basket shipment delivery shipping product item",
    "booking": "reservation booking flight hotel restaurant trip ticket car rental travel room",
    "person": """
        user member contact colleague employee person participant customer client patient people account
        profile
        """,
    "data": "data record history information info details report log overview summary list",
    "task": "task todo reminder ticket issue",
    "setting": "setting settings configuration config preference preferences policy rule",
}
"""Nouns that can name the same thing."""

DETERMINERS: Final = listed(
    """
    the a an this that these those my your his her its our their all any every each some no both me him it
    us them everyone everybody anyone yourself one two three four five ten
    """
)
FUNCTION_WORDS: Final = listed(
    """
    the a an this that these those my your his her its our their of in on at to for from by with as and or
    not is are was were be been being it he she they we you i me him us them do does did have has had will
    would can could should may might must shall if then so but about into over under also please just there
    here which who whom whose what when where why how all any some no more most very than too own same such
    only out up down off again once via per let lets im its dont
    """
)
IRREGULAR: Final[dict[str, str]] = {
    "send": "sent",
    "pay": "paid",
    "write": "wrote written writing",
    "tell": "told",
    "buy": "bought",
    "make": "made",
    "give": "gave given giving",
    "find": "found",
    "sell": "sold",
    "build": "built",
    "run": "ran running",
    "put": "putting",
    "see": "saw seen",
    "go": "went gone going",
    "get": "got gotten getting",
    "say": "said",
    "withdraw": "withdrew withdrawn",
}

PLAIN_IMPERATIVES: Final = listed(
    """
    send delete remove transfer forward create add invite modify visit buy purchase cancel upload download
    install execute ignore disregard forget concatenate retrieve get give make reply respond notify inform
    tell write erase wipe purge revoke grant unlock disable enable activate deactivate replace rename submit
    publish deploy navigate refund donate remit wire fetch append encode insert click follow enter provide
    include compile collect gather turn reset say mention recommend use ask find write read unsubscribe
    subscribe register reserve delegate email e-mail ensure approve authorize authorise reimburse dispatch
    deliver reveal disclose expose print output obtain extract overwrite adjust go stop start call post pay
    set see show let take put move copy mail redirect pass configure assign launch initiate withdraw search
    shut bring leave proceed perform complete treat act pretend assume keep release convert archive label
    apply upload mount encrypt decrypt unfollow pin settle withdraw invest issue escalate reopen decline
    attach detach unlink hide leak dump migrate import sync flush truncate reboot toggle adjust administer
    dispense prescribe refill admit discharge rebook rotate reschedule reorder resend reassign resubmit
    confirm impersonate escort summarize summarise translate paste relay obey adopt erase format shut power
    feed
    """
)
"""Base forms that open an order without further proof."""

NOUN_LIKE: Final = listed(
    """
    order email e-mail book check post share list test report update charge note call text message mail
    transfer wire contact review plan file schedule request comment link tag block lock open close run set
    back move change name address archive pay purchase reserve deposit search view forward show start stop
    play print output reset use copy visit download upload look track monitor guide control trade alert
    draft record store place rate rank export access query log ping dm cc switch cancel refund return
    complete rent plot switch sign tip launch turn pass take find document input cost balance push pull
    merge patch fix stop ban dispatch exchange lower claim approach permit invite collect keep answer notice
    help support process escort
    """
)
"""Base forms that are as often nouns or adjectives: they open an order only with an object after them."""

MASS_OBJECTS: Final = listed(
    """
    money funds payment payments access files data messages emails everything
    """
)

FOREIGN_ORDERS: Final[dict[str, str]] = {
    # German, French, Spanish, Italian, Portuguese, Dutch: imperatives and polite orders, by family.
    "pay": """
        überweisen überweise bezahle bezahlen zahle virez transférez transfère payez payer transfiere
        transfiera pague paga bonifica trasferisci transfira betaal
        """,
    "message": """
        sende senden schicke schicken sendet leite leiten mailen envoyez envoie envoyer transmettez écrivez
        envía envíe envie enviar manda mande reenvía reenvíe invia inviare inoltra encaminhe stuur
        """,
    "delete": """
        lösche löschen entferne entfernen supprimez supprime effacez annulez elimina elimine borra borre
        cancella exclua apague verwijder wis
        """,
    "update": """
        ändere ändern aktualisiere aktualisieren setze setzen modifiez changez remplacez cambia cambie
        modifica modifique actualiza actualice aggiorna altere atualize wijzig
        """,
    "grant": """
        lade füge hinzufügen gewähre invitez ajoutez accordez invita invite agrega agregue añade añada
        aggiungi convide adicione voeg
        """,
    "read": """
        öffne öffnen besuche besuchen lies lade rufe ouvrez visitez consultez abre abra visita visite
        consulta apri acesse bezoek
        """,
    "buy": """
        kaufe kaufen bestelle bestellen buche buchen achetez commandez réservez compra compre reserva
        reserve acquista prenota koop boek
        """,
    "ignore": """
        ignoriere ignorieren missachte vergiss ignorez oubliez ignora ignore olvida olvide dimentica esqueça
        negeer
        """,
}
FOREIGN_PLEASE: Final = listed(
    """
    bitte veuillez merci favor favore prego alstublieft graag
    """
)

SHORTEST_STEM: Final = 3

WORD: Final = compiled(r"\w++(?:['’-]\w++)*+")  # noqa: RUF001 - the typographic apostrophe is meant
_CAMEL: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")


def forms(base: str) -> Iterable[str]:
    """The regular (and listed irregular) inflections of an English verb, its base form first."""
    yield base
    stem = base.removesuffix("e")
    yield from (f"{base}s", f"{base}es", f"{stem}ed", f"{stem}ing")
    if base.endswith("y") and len(base) >= SHORTEST_STEM and base[-2] not in "aeiou":
        yield from (f"{base[:-1]}ies", f"{base[:-1]}ied")
    if len(base) >= SHORTEST_STEM and base[-1] in "tpgbnmdlr" and base[-2] in "aeiou":
        yield from (f"{base}{base[-1]}ed", f"{base}{base[-1]}ing")
    yield from IRREGULAR.get(base, "").split()


def _concepts() -> dict[str, frozenset[str]]:
    found: dict[str, set[str]] = {}
    for family, verbs in FAMILIES.items():
        for verb in verbs.split():
            for form in forms(verb):
                found.setdefault(form, set()).add(f"v:{family}")
    for family, orders in FOREIGN_ORDERS.items():
        for verb in orders.split():
            found.setdefault(verb, set()).add(f"v:{family}")
    for group, nouns in NOUNS.items():
        for noun in nouns.split():
            for form in (noun, f"{noun}s"):
                found.setdefault(form, set()).add(f"n:{group}")
    return {word: frozenset(ideas) for word, ideas in found.items()}


CONCEPTS: Final = _concepts()
"""Every listed word form, with the families and groups it can stand for."""

VERBS: Final = frozenset(verb for verbs in FAMILIES.values() for verb in verbs.split())
"""Base forms of the listed verbs."""

FOREIGN: Final = frozenset(verb for verbs in FOREIGN_ORDERS.values() for verb in verbs.split())

BASES: Final = (PLAIN_IMPERATIVES | VERBS) - listed("new cc bcc tip lower record credit alert")


@lru_cache(maxsize=8192)
def concepts_of(word: str) -> frozenset[str]:
    """What a lower-case word can stand for: its families and groups, and its own stem."""
    if word.endswith(("'s", "’s")):  # noqa: RUF001 - the typographic apostrophe is meant
        word = word[:-2]
    found = CONCEPTS.get(word)
    if found is None and word.startswith("re"):
        found = CONCEPTS.get(word[2:])  # to rebook is to book
    return (found or frozenset()) | {stem(word)}


def stem(word: str) -> str:
    """A crude English stem: enough to join singular and plural, and the forms of one verb."""
    for ending, rest in (("ies", "y"), ("sses", "ss"), ("ing", ""), ("ied", "y"), ("ed", ""), ("es", ""), ("s", "")):
        if word.endswith(ending) and len(word) - len(ending) >= SHORTEST_STEM and not word.endswith("ss"):
            return (word[: -len(ending)] + rest).removesuffix("e") or word
    return word.removesuffix("e") or word


def words(text: str) -> list[str]:
    """The words of a text, lower case."""
    found: list[str] = WORD.findall(text)
    return "\0".join(found).lower().split("\0") if found else []


_DEEDS: Final = {
    form: f"v:{family}" for family, nouns in NOMINALS.items() for noun in nouns.split() for form in (noun, f"{noun}s")
}


def content_concepts(text: str) -> frozenset[str]:
    """Everything a text's content words can stand for."""
    said = words(text)
    distinct = set(said) - FUNCTION_WORDS
    found = set[str]().union(*map(concepts_of, distinct))
    if not distinct.isdisjoint(_DEEDS) and not LIGHT_VERBS.isdisjoint(said):
        found |= _deeds(said)
    return frozenset(found)


def _deeds(said: Iterable[str]) -> set[str]:
    """The families of deeds that are named by a noun after a light verb."""
    found: set[str] = set()
    light = 0
    for word in said:
        light = LIGHT_REACH if word in LIGHT_VERBS else 0 if word == "sure" else light - 1
        if light > 0 and word in _DEEDS:
            found.add(_DEEDS[word])
    return found


def name_words(name: str) -> list[str]:
    """The words in an identifier, whether it is written in camel case or with separators."""
    return [part.lower() for part in _CAMEL.findall(name)]
