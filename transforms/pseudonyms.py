"""Pseudonyms: keyed hashes of identifiers, and addresses cut short.

A pseudonym is the first 128 bits, in hexadecimal, of HMAC-SHA256 over the length-prefixed identifier type and
canonical value. Its key is derived by HKDF-SHA256 (RFC 5869) from a root, for one purpose and one tenant.
Telemetry uses the epoch root: destroying an old root unlinks its period. Rosters and decisions use the join
key of the store's lifetime. So the same person has different pseudonyms under each purpose, tenant and epoch.

Pseudonymous data is still personal data, and the keys are as sensitive as the tables: with them, all meeting
numbers or phone numbers can be tried.
"""

from __future__ import annotations

import hmac
import ipaddress
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from itertools import repeat
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from transforms.chunked_encryption import length_prefixed
from transforms.keys import IngestKeys, ReleaseKeys

TELEMETRY, JOIN = "telemetry", "join"
EMAIL_TYPE = "email"
TENANT_TYPE = "tenant"
PSEUDONYM_BYTES = 16

_ROOT_BYTES = 32
_MEMO_ENTRIES = 40_000  # two generations of about 400 bytes an entry: 32 MB at most
_TENANT_KEYS = 4096
_LABEL = b"cofferdam pseudonym v1"

Values: TypeAlias = "Sequence[str | int | None] | pa.Array | pa.ChunkedArray"
_Subject = tuple[str, str | int | None, str | int | None]


def telemetry_pseudonyms(keys: IngestKeys | ReleaseKeys, *, epoch_id: bytes | None = None) -> Pseudonymiser:
    """Pseudonyms for telemetry, under the current epoch root or, to find older rows, under another."""
    chosen = keys.epoch_id if epoch_id is None else epoch_id
    return Pseudonymiser(
        keys.epoch_roots[chosen], TELEMETRY, partial(telemetry_pseudonyms, keys, epoch_id=chosen)
    )


def join_pseudonyms(keys: IngestKeys | ReleaseKeys) -> Pseudonymiser:
    """Pseudonyms for rosters and decisions, under the join key; they never reach telemetry."""
    return Pseudonymiser(keys.join_key, JOIN, partial(join_pseudonyms, keys))


class Pseudonymiser:
    """Makes the pseudonyms of one purpose and remembers those that repeat.

    Args:
        root: 32 uniformly random bytes or more.
        purpose: ``telemetry`` or ``join``.
        restore: Makes this again in another process, without a key in the pickle.

    Raises:
        ValueError: The root is too short.
    """

    def __init__(self, root: bytes, purpose: str, restore: Callable[[], Pseudonymiser]) -> None:
        if len(root) < _ROOT_BYTES:
            raise ValueError(f"the root of pseudonym keys is at least {_ROOT_BYTES} bytes long")
        self._root = root
        self._purpose = purpose
        self._restore = restore
        self._tenant_keys: dict[str | int | None, bytes] = {}
        self._recent: dict[_Subject, str] = {}
        self._older: dict[_Subject, str] = {}

    def __repr__(self) -> str:
        return f"<Pseudonymiser for {self._purpose}>"

    def __reduce__(self) -> tuple[Callable[[], Pseudonymiser], tuple[()]]:
        return self._restore, ()

    def pseudonymise(
        self, values: Values, *, identifier_type: str, tenants: Values | str | None = None
    ) -> pa.StringArray:
        """Pseudonyms of a batch of identifiers of one type.

        Args:
            values: Text, whole numbers or nulls, as a sequence or an Arrow array.
            identifier_type: For example ``zoom.user_id``. ``email`` is trimmed and case-folded.
            tenants: The tenant of each value (raw, as long as ``values``), one tenant for all, or None for
                identifiers that belong to no tenant.

        Returns:
            32 hexadecimal digits each; null where the value is null.

        Raises:
            TypeError: A value is neither text nor a whole number.
            ValueError: ``tenants`` is not as long as ``values``.
        """
        encoded = _encoded(values)
        if tenants is None or isinstance(tenants, str):
            distinct = self._all(identifier_type, repeat(tenants), encoded.dictionary.to_pylist())
            return pa.array(distinct, pa.string()).take(encoded.indices)
        encoded_tenants = _encoded(tenants)
        if len(encoded_tenants) != len(encoded):
            raise ValueError("there is not one tenant for each value")
        distinct_tenants, distinct_values, places = _distinct_pairs(encoded_tenants, encoded)
        return pa.array(self._all(identifier_type, distinct_tenants, distinct_values), pa.string()).take(
            places
        )

    def pseudonymise_tenants(self, values: Values) -> pa.StringArray:
        """Pseudonyms of a batch of tenant ids, under a key of their own.

        Raises:
            TypeError: A value is neither text nor a whole number.
        """
        return self.pseudonymise(values, identifier_type=TENANT_TYPE)

    def pseudonym(self, value: str | int, *, identifier_type: str, tenant: str | None = None) -> str:
        """The pseudonym of one identifier; as ``pseudonymise`` for a batch of one."""
        return self._remembered((identifier_type, tenant, value))

    def _all(
        self, identifier_type: str, tenants: Iterable[str | int | None], values: Sequence[str | int | None]
    ) -> list[str | None]:
        subjects: list[_Subject] = list(zip(repeat(identifier_type), tenants, values, strict=False))
        found: list[str | None] = list(map(self._recent.get, subjects))
        for position, pseudonym in enumerate(found):
            if pseudonym is None and values[position] is not None:
                found[position] = self._remembered(subjects[position])
        return found

    def _remembered(self, subject: _Subject) -> str:
        pseudonym = self._recent.get(subject) or self._older.get(subject) or self._computed(*subject)
        if len(self._recent) >= _MEMO_ENTRIES:
            self._older, self._recent = self._recent, {}
        self._recent[subject] = pseudonym
        return pseudonym

    def _computed(self, identifier_type: str, tenant: str | int | None, value: str | int | None) -> str:
        canonical = canonical_value(value, identifier_type)
        message = length_prefixed(identifier_type.encode(), canonical.encode("utf-8", "surrogatepass"))
        return hmac.digest(self._tenant_key(tenant), message, "sha256")[:PSEUDONYM_BYTES].hex()

    def _tenant_key(self, tenant: str | int | None) -> bytes:
        key = self._tenant_keys.get(tenant)
        if key is None:
            if len(self._tenant_keys) >= _TENANT_KEYS:
                self._tenant_keys.clear()
            key = self._tenant_keys[tenant] = self._derived_key(tenant)
        return key

    def _derived_key(self, tenant: str | int | None) -> bytes:
        named = (
            () if tenant is None else (canonical_value(tenant, TENANT_TYPE).encode("utf-8", "surrogatepass"),)
        )
        info = length_prefixed(_LABEL, self._purpose.encode(), *named)
        return HKDF(hashes.SHA256(), length=32, salt=None, info=info).derive(self._root)


def canonical_value(value: str | int | None, identifier_type: str) -> str:
    """The one text that stands for an identifier: NFC; an e-mail address also trimmed and case-folded.

    Raises:
        TypeError: The value is neither text nor a whole number.

    >>> canonical_value(" Ada@Example.ORG", "email")
    'ada@example.org'
    """
    if type(value) is int:
        return str(value)
    if not isinstance(value, str):
        raise TypeError("an identifier is text or a whole number")
    if identifier_type == EMAIL_TYPE:
        # Decomposed first: case folding reorders marks otherwise (Unicode 3.13, canonical caseless matching).
        value = unicodedata.normalize("NFD", value.strip()).casefold()
    return value if value.isascii() else unicodedata.normalize("NFC", value)


def _encoded(values: Values) -> pa.DictionaryArray:
    """The distinct values and the place of each value among them, so that each is hashed once."""
    array = values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values
    if not isinstance(array, pa.Array):
        array = _text_array(array)
    return array if pa.types.is_dictionary(array.type) else array.dictionary_encode()


def _text_array(values: Sequence[str | int | None]) -> pa.StringArray:
    try:
        return pa.array(values, pa.string())
    except (pa.ArrowException, UnicodeEncodeError):
        pass  # whole numbers among them, or a value to refuse; Arrow's error would quote it
    texts = [None if value is None else canonical_value(value, "") for value in values]
    try:
        return pa.array(texts, pa.string())
    except (pa.ArrowException, UnicodeEncodeError):
        raise TypeError("an identifier is not valid Unicode text") from None


def _distinct_pairs(
    tenants: pa.DictionaryArray, values: pa.DictionaryArray
) -> tuple[list[str | int | None], list[str | int | None], pa.Array]:
    """The distinct (tenant, value) pairs of two columns, and the place of each row among them."""
    tenant_list, value_list = [*tenants.dictionary.to_pylist(), None], [*values.dictionary.to_pylist(), None]
    tenant_codes = _codes(tenants, null_code=len(tenant_list) - 1)
    value_codes = _codes(values, null_code=len(value_list) - 1)
    pairs, places = np.unique(tenant_codes * len(value_list) + value_codes, return_inverse=True)
    tenant_places, value_places = np.divmod(pairs, len(value_list))
    return (
        [tenant_list[place] for place in tenant_places],
        [value_list[place] for place in value_places],
        pa.array(places),
    )


def _codes(encoded: pa.DictionaryArray, *, null_code: int) -> npt.NDArray[np.int64]:
    codes = encoded.indices.cast(pa.int64()).fill_null(null_code)
    return np.asarray(codes.to_numpy(zero_copy_only=False), dtype=np.int64)


def truncate_ip(text: str) -> str | None:
    """The network that an address is in: /24 for IPv4, /48 for IPv6; None for anything that is no address.

    IPv4 addresses inside IPv6 ones (mapped, RFC 4291; 6to4, RFC 3056) would survive a cut at 48 bits, so
    they count as IPv4. An address with a zone (free text after ``%``) is refused.

    >>> truncate_ip("203.0.113.77"), truncate_ip("2001:db8:1:2::3"), truncate_ip("::ffff:203.0.113.77")
    ('203.0.113.0/24', '2001:db8:1::/48', '203.0.113.0/24')
    """
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address):
        if address.scope_id is not None:
            return None
        address = address.ipv4_mapped or address.sixtofour or address
    prefix = 24 if isinstance(address, ipaddress.IPv4Address) else 48
    return str(ipaddress.ip_network((address, prefix), strict=False))
