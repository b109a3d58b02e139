"""What can be wrong with a document, as named refusals.

Every refusal has a class (what kind of thing went wrong) and a `reason`: a short, stable,
lower-case code such as `inter_element_white_space` or `digest_mismatch`, made to be shown as what a
check found.
"""

from __future__ import annotations


class DuisError(Exception):
    """Any refusal of this package; nothing else leaves a reader or a verifier.

    Attributes:
        reason: stable code of the refusal, `[a-z0-9_]+`.
        where: the element, line or value concerned; empty where the whole document is meant.
        detail: one sentence for a reader; never longer than a few hundred characters.
    """

    def __init__(self, reason: str, where: str = "", detail: str = "") -> None:
        super().__init__(reason, where, detail)
        self.reason = reason
        self.where = where
        self.detail = detail

    def __str__(self) -> str:
        """Reason, place and sentence on one line."""
        text = self.reason
        if self.where:
            text += f" at {self.where}"
        return f"{text}: {self.detail}" if self.detail else text


class MalformedXml(DuisError):  # noqa: N818 - what the document is
    """The octets are not a document of the form every reader agrees about (see `duis.gate`)."""


class SchemaInvalid(DuisError):  # noqa: N818 - what the document is
    """Well formed, but not what the schema and the service request catalogue describe."""


class SchemaVersionRefused(SchemaInvalid):
    """The document names another version of the interface than 5.4."""


class UnsupportedService(DuisError):  # noqa: N818 - what the document is
    """A service, body or command variant outside what this project speaks; `where` names it."""


class SignatureForm(DuisError):  # noqa: N818 - what the document is
    """The signature is missing, misplaced or not of the one form; nothing was computed."""


class SignatureInvalid(DuisError):  # noqa: N818 - what the document is
    """The signature has the right form and does not hold, or is not by the certificate given."""


class RequestIdInvalid(SchemaInvalid):
    """A text or value that is not a RequestID or ResponseID."""
