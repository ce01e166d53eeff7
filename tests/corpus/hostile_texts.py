"""Texts that would do something in a page which took them for more than text."""

TEXTS = (
    "<script>window.pwned = 'script'</script>",
    "<img src=x onerror=\"window.pwned = 'img'\">",
    "<svg onload=\"window.pwned = 'svg'\"><animate onbegin=\"window.pwned = 'animate'\" attributeName=x dur=1s>",
    "<iframe srcdoc=\"<script>parent.pwned = 'srcdoc'</script>\"></iframe>",
    '"><input autofocus onfocus="window.pwned = \'attribute\'">',
    "' onmouseover='window.pwned = 1' style='position:fixed;inset:0",
    "</title></textarea></style></script><script>window.pwned = 'closed'</script>",
    "<math><mtext><table><mglyph><style><img src=x onerror=window.pwned=1></style></mglyph></table></mtext></math>",
    "[click](javascript:window.pwned='markdown') <a href=\"javascript:window.pwned='link'\">here</a>",
    "{{constructor.constructor('window.pwned = 1')()}} ${window.pwned = 1} <%= window.pwned = 1 %>",
    "<link rel=stylesheet href=//evil.example/x.css><style>@import '//evil.example/y.css'</style>",
    "<form action=//evil.example><button formaction=//evil.example>go</button></form><base href=//evil.example>",
    "<meta http-equiv=refresh content='0;url=//evil.example'>",
    "\u202e<script>window.pwned = 'rtl'</script>\u202c \u0000\u0008\u001b[31m\ufeff",
    "__proto__",
    "constructor",
    "../../../#/holds?approve=1&__proto__[x]=1",
)
