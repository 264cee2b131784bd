"""The words and codes of bounces, as mail systems write them. All patterns take a time in proportion to the text."""

from __future__ import annotations

import re
from typing import Final


def _any_of(*patterns: str) -> re.Pattern[str]:
    return re.compile("|".join(patterns), re.IGNORECASE | re.DOTALL | re.MULTILINE)


DAEMON: Final = _any_of(
    r"mailer-?daemon",
    r"mail[ ._-]?(?:deliver|delivery|administration)[ ._-](?:sub)?(?:system|service)",
    r"mail[ ._-]delivery[ ._-]",
    r"delivery[ ._-]subsystem",
    r"mdaemon@",
    r"bounce-?daemon",
)
"""Stands in the sender's name of a mail system."""
POSTMASTER: Final = _any_of(
    r"\bpost[ -]?master\b|\bndr\b|system ?administrator|content[ -]filter|bounces?[@+-]",
    r"\b(?:e-?mail|smtp)[ -]?(?:system|server|gateway|router|administrator|security|sweeper|notification)\b",
    r"interscan|mailmarshal|mailfoundry|barracuda|antivirus|scanmail",
)
"""The same, but people write under it too."""
ANSWER: Final = re.compile(
    r"(?:re|aw|antw|sv|vs|fwd?|wg|tr|rv|vb|ha|отв|ответ|пересл|переслано|на)(?:\[\d+\])?\s?:", re.IGNORECASE
)
"""How the subjects of answers, and of what is passed on, begin."""

FAILED: Final = _any_of(
    # English
    r"undeliver(?:ed|able)",
    r"un-?delivered",
    r"returned? (?:e-?)?mail",
    r"deliver(?:y|ing)\b.{0,40}\b(?:fail|error|problem|unsuccess|impossible|not possible|suspend)",
    r"fail(?:ed|ure)?\b.{0,30}\b(?:deliver|notice|notification|to send|recipient|address|reason)",
    r"delivery (?:status )?(?:notification|report)",
    r"delivery status",
    r"(?:could|can|did|was|were|ha[sd]|have|is|are)(?: ?not|n't| unable)\b.{0,40}\b(?:deliver|reach|sen[dt]|accept)",
    r"(?:unable|failed|impossible|wasn't able|not able) to (?:deliver|send|relay|process)",
    r"(?:trouble|error)(?: while| occurred while)? (?:trying to )?(?:deliver|send|relay|process)",
    r"non-?deliver|bounce notification|mail bounce",
    r"mail system error",
    r"mail (?:delivery )?fail",
    r"(?:message|mail)s?\b.{0,30}\b(?:bounced|returned|rejected|blocked|discarded|delayed|not sent)",
    r"returned to (?:the )?sender",
    r"returning message",
    r"permanent (?:fatal )?error",
    r"fatal error",
    r"giving up",
    r"(?:recipients?|address(?:es)?)\b.{0,60}\b(?:fail|reject|refus|error|unknown|problem|invalid)",
    r"(?:recipients?|address(?:es)?)\b.{0,60}\b(?:not found|does(?: not|n't) exist)",
    # German, Dutch, Swedish, Danish, Norwegian, Finnish
    r"unzustellbar|nicht zugestellt|nicht zustellbar|zustellung\b.{0,40}\b(?:fehl|nicht)",
    r"konnte nicht\b.{0,60}\bwerden",
    r"onbestelbaar|niet (?:worden )?(?:bezorgd|afgeleverd)",
    r"kunde inte (?:levereras|skickas)|g[åa]r inte att leverera|gick inte att leverera|olevere|misslyckad leverans",
    r"kunne ikke leveres|kan ikke leveres|toimitus epäonnistui|ei voitu toimittaa",
    # Russian, Ukrainian, Polish, Czech
    r"не\s?доставлен|возвращен[оы]? отправител|ошибка (?:при )?доставк",
    r"не (?:может|могло|удалось|удаётся|удается|вдалося)\b.{0,40}\b(?:быть )?достав",
    r"niedostarcz|nie (?:można|udało się) dostarczyć|nelze doručit|nedoručiteln",
    # French, Spanish, Portuguese, Italian, Turkish
    r"non remis|non distribu|échec de la (?:remise|distribution)|n'a pas pu être (?:remis|distribu|livr)",
    r"no se (?:puede|pudo|ha podido) entregar|no entregad|devuelto|error de entrega",
    r"não (?:foi )?(?:possível )?entreg|falha na entrega",
    r"mancat[oa] (?:recapito|consegna)|impossibile (?:recapitare|consegnare)|non recapitabil",
    r"teslim edilemedi|iletilemedi",
    # Japanese, Chinese, Korean
    r"配信(?:不能|できません|に失敗|されません)|送信(?:でき|に失敗|エラー)|届けられません|お届けできません|送信できませんでした",
    r"退信|无法(?:投递|送达|发送)|無法(?:投遞|傳送)|投递失败|배달(?:되지| 실패)|전송(?:되지| 실패)",
)
"""A mail was not delivered."""

_THERE: Final = r"(?:mailbox|account|address|recipient|user|domain|host)"
DEAD: Final = _any_of(
    r"user(?:name)? (?:is )?(?:unknown|not found|does(?: not|n't) exist|doesn't have)",
    r"unknown (?:user|recipient|address|mailbox|account|local|host|domain)",
    r"no such (?:user|mailbox|recipient|address|person|account|domain)",
    rf"{_THERE}\b.{{0,60}}\b(?:does(?: not|n't) exist|unknown|unavailable|invalid|disabled|inactive|suspended|closed)",
    rf"{_THERE}\b.{{0,60}}\b(?:deleted|deactivated|discontinued|expired)",
    rf"{_THERE}\b.{{0,60}}\bnot (?:exist|found|valid|known|listed|available|active)",
    r"(?:invalid|bad|incorrect|non-?existent|unrouteable|unroutable|undeliverable) (?:\w{1,20} )?(?:recipient|address)",
    r"(?:invalid|bad|incorrect|non-?existent|not? (?:a )?valid) (?:\w{1,20} )?(?:mailbox|user|domain|host|recipient)",
    r"(?:host|domain)(?: name)? (?:unknown|lookup (?:failed|did not)|not found)",
    r"no mailbox here|not our customer",
    r"recipient\b.{0,40}\breject",
    r"permanent(?:ly)?\b.{0,20}\b(?:error|fail)",
    r"не существует|нет такого|unbekannt|existiert nicht|finns inte|存在しません|見つかりません|ありません",
)
"""There is no such address."""
FULL: Final = _any_of(
    r"(?:mailbox|quota|storage|inbox|folder|disk)\b.{0,40}\b(?:full|exceed|over|limit)",
    r"over ?quota|is full|exceed\w* .{0,30}quota|insufficient (?:system )?storage",
    r"too (?:large|big)|size (?:limit|exceed)|maximum (?:message )?size",
    r"переполнен|überfüllt|voll\b|いっぱい|容量",
)
"""The mailbox is full, or the mail too large for it."""
MAY_PASS: Final = _any_of(
    FULL.pattern,
    r"timed? ?out|connection (?:refused|reset|lost|dropped)|temporar|try (?:again|later)|retry|deferred|greylist",
    r"for (?:the )?(?:past |last )?[\d.]{1,6} (?:day|hour)|in the queue too long",
    r"too many|too busy|overload|resources|unreachable",
)
"""Another try may do."""
DELAY: Final = _any_of(
    r"\bwarning\b|delayed|\(delay\)|delay notification|delivery delay",
    r"still (?:being )?(?:re)?tr(?:ied|ying)|has not yet been delivered|not yet been",
    r"will (?:be )?(?:retr|keep (?:on )?trying|continue|try again)|no action is required|no further action",
    r"удерж|отложен|задерж|verzögert|försenad",
)
"""The other side still tries ..."""
GIVEN_UP: Final = _any_of(
    r"giv(?:ing|en) up|permanent|fatal|not going to try|returned|will not be|undeliver|could not be delivered"
)
"""... unless it says this."""
ABOUT_US: Final = _any_of(
    r"\bspam|unsolicited|\bUBE\b|\bbulk\b|junk|спам",
    r"black ?-?list|block ?-?list|\bblocked|\bdnsbl|\brbl\b|spamhaus|spamcop|barracuda|reputation",
    r"\bdmarc\b|\bspf\b|\bdkim\b|\bPTR\b|reverse (?:dns|lookup)|authentication",
    r"\bpolicy|policies|not authori[sz]ed|banned|access denied|relay(?:ing)? (?:access )?(?:denied|not)",
    r"virus|malware|suspicious|content (?:reject|filter|not accept)|sender\b.{0,20}\breject",
)
"""The sending system, or what was written, is not wanted there."""

_CODES: Final = r"4(?:21|3[0-2]|5\d|7[01])|5(?:[0-5]\d|7\d)"
ANSWER_CODES: Final = re.compile(
    rf"(?<![\d.])(?:{_CODES})[ \t-]{{1,4}}(?:\S{{0,80}}[ \t])?[#(]{{0,2}}([45]\.\d{{1,3}}\.\d{{1,3}})(?!\.?\d)"
)
"""A reply code with an enhanced status code (RFC 2034)."""
ENHANCED: Final = re.compile(r"(?<![\d.])([245]\.\d{1,3}\.\d{1,3})(?!\.?\d)")
"""An enhanced status code; or a version of a program."""
MARKED: Final = re.compile(
    r"(?:#|\(|\bstatus:?\s|code:?\s|error:?\s|^[ \t>-]{0,8})([45]\.\d{1,3}\.\d{1,3})(?!\.?\d)",
    re.IGNORECASE | re.MULTILINE,
)
"""An enhanced status code where it can be nothing else."""
REPLY: Final = re.compile(
    r"(?:<<<|said:?|error:?|code:?|respon\w{1,6}:?|reply:?|status:?|smtp;|server:?|returned:?|refused:?|because:?|was:?|"
    rf"[:(\"'#\]>,=]|^)[ \t(\"'#]{{0,8}}({_CODES})(?:[ \t-]+(?=[^\d\s])|[:,)\"'])",
    re.IGNORECASE | re.MULTILINE,
)
"""A reply code (RFC 5321) where it is hardly anything else."""

RETURNED: Final = re.compile(
    r"^[ \t>*|=#-]{0,80}(?:(?:below this line|included|this|following|attached)\b.{0,40}\bis a copy|"
    r"(?:the )?(?:text|header|headers|body) of (?:the |your )?(?:original )?(?:message|mail)|"
    r"(?:your |the )?(?:original|returned|unsent|bounced|undelivered) (?:message|mail|e-mail)s?\b|"
    r"message headers? follow|исходное (?:сообщение|письмо)|копия (?:сообщения|письма)|"
    r"ursprüngliche nachricht|originalnachricht|ursprungligt meddelande|元のメール)",
    re.IGNORECASE | re.MULTILINE,
)
"""Stands above the mail that is returned."""
