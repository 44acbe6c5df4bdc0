"""Realistic users from a seed.

Compression decides the disk space, so the data must neither repeat itself nor be noise. Common
names are frequent, as in a telephone book. Rare names consist of random syllables. A third of the
ids are UUIDs, as a library would generate them.
"""

import random
import uuid
from collections.abc import Iterator

import msgspec

SEED = 20260101


def _split(text: str) -> list[str]:
    return text.split()


_FIRST = _split("""
Maria James Anna Peter Fatima Wei Olga John Amina Lucas Sofía Noah Zoë Hiroshi Ingrid Pablo Chloé
Mehmet Aisha Jürgen Łukasz Priya Ahmed Emma Liam Yuki Chiara Omar Svetlana Diego Nguyen Freya José
Katarzyna Søren Leila Tomás Björn Ines Kwame Ada Grace Alan Edsger Barbara Leslie Tony Margaret
Dennis Radia Ken Sophie Oliver Amelia Jack Isla Harry Mia Charlie Ella George Lily Oscar Ivy Arthur
Rosie Muhammad Florence Theo Willow Leo Evie Freddie Poppy Archie Isabella Alfie Daisy Henry Elsie
Finn Matilda Max Alice Logan Phoebe Isaac Eleanor Jakub Hanna Mateusz Zuzanna Filip Julia Szymon
Maja Andrei Elena Mihai Ioana Ștefan Gabriela Ravi Deepa Arjun Meera Vikram Sunita Chinedu Ngozi
Tunde Folake Kofi Abena Jin Min-ji Seo-yeon Joon Hye-jin Xiao Mei Jing Hao Lan Thiago Beatriz João
Larissa Rafael Camila Matheus Valentina Agustín Ximena
""")
_LAST = _split("""
Smith Jones García Müller Kowalska Nguyen Wang Li Zhang Chen Kim Park Lee Patel Singh Khan Ivanova
Petrov Silva Santos Rossi Russo Dubois Martin Bernard Schmidt Schneider Fischer Weber Meyer Jansen
Bakker Visser Johansson Andersson Nilsson Hansen Larsen Olsen Virtanen Korhonen Novák
Horvat Nagy Szabó Popescu Papadopoulos Yılmaz Demir Kaya Öztürk Cohen Levy Haddad Mansour Okafor
Adeyemi Mensah Diallo Traoré Abebe Mwangi Otieno Dlamini Tanaka Suzuki Takahashi Watanabe Yamamoto
O'Brien Murphy Kelly Walsh MacDonald Campbell Stewart Williams Brown Taylor Davies Evans Thomas
Johnson Roberts Walker Wright Robinson Thompson White Hughes Edwards Green Hall Wood Harris Lewis
Clarke Jackson Turner Hill Scott Cooper Morris Ward Moore King Baker Harrison Morgan Allen
Rodríguez González Fernández López Martínez Sánchez Pérez Gómez Díaz Torres Ramírez Flores Rivera
""")
_ONSETS = _split("b br ch d dr f fl g gr h j k kl kr l m n p pl pr r s sch sh st t th tr v w z")
_VOWELS = _split("a e i o u aa ai ee ei ia ie oo ou")
_CODAS = ["", "", "", "l", "n", "r", "s", "ck", "ll", "nd", "ng", "nn", "rt", "ss", "tz", "x"]
_ENDINGS = ["", "", "a", "berg", "en", "er", "ez", "ic", "ini", "man", "off", "sen", "ski", "son"]
_HOSTS = _split("""
gmail.com outlook.com yahoo.com icloud.com posteo.de proton.me web.de wp.pl orange.fr libero.it
mail.ru qq.com naver.com uol.com.br rediffmail.com telenor.no bluewin.ch sky.com telstra.com.au
""")
_PLAIN = str.maketrans(
    "áàâãäåçéèêëíìîïñóòôõöøúùûüýÿžščřďťňěůłńśźżćęąşğıșțőű",
    "aaaaaaceeeeiiiinoooooouuuuyyzscrdtneulnszzceasgistou",
)


class User(msgspec.Struct, frozen=True):
    """One user. The fields are in the order of the JSON."""

    id: str
    name: str
    email: str
    group: int

    def body(self) -> bytes:
        """Return the user as compact JSON in UTF-8."""
        return msgspec.json.encode(self)


class Generator:
    """An endless stream of users. Equal seeds give equal users, and no id occurs twice."""

    def __init__(self, seed: int = SEED) -> None:
        self._rng = random.Random(seed)
        self._made = 0

    def __iter__(self) -> Iterator[User]:
        return self

    def __next__(self) -> User:
        rng = self._rng
        first = _common(rng, _FIRST)
        last = _common(rng, _LAST) if rng.random() < 0.55 else _surname(rng)
        name = f"{first} {last}"
        if rng.random() < 0.12:
            name = f"{first} {_common(rng, _FIRST)} {last}"
        local = _local(rng, first, last)
        email = f"{local}@{_host(rng)}"
        if rng.random() < 1 / 3:
            named = str(uuid.UUID(int=rng.getrandbits(128), version=4))
        else:
            # 387,420,489 is coprime with 10^9: each number occurs once, in no visible order.
            named = f"{local}-{self._made * 387_420_489 % 1_000_000_000}"
        self._made += 1
        return User(named, name, email, _group(rng))

    def take(self, count: int) -> list[User]:
        """Return the next `count` users."""
        return [next(self) for _ in range(count)]

    def __repr__(self) -> str:
        return f"<Generator {self._made} users made>"


def _common(rng: random.Random, names: list[str]) -> str:
    """Return one of the names, the earlier ones more often."""
    return names[int(len(names) * rng.random() ** 1.6)]


def _surname(rng: random.Random) -> str:
    syllables = 1 + (rng.random() < 0.45)
    parts = [
        rng.choice(_ONSETS) + rng.choice(_VOWELS) + rng.choice(_CODAS) for _ in range(syllables)
    ]
    return ("".join(parts) + rng.choice(_ENDINGS)).capitalize()


def _local(rng: random.Random, first: str, last: str) -> str:
    first, last = _ascii(first), _ascii(last)
    form = rng.random()
    if form < 0.45:
        local = f"{first}.{last}"
    elif form < 0.65:
        local = f"{first[0]}{last}"
    elif form < 0.8:
        local = f"{first}_{last}"
    else:
        local = f"{last}{first[0]}"
    return local + str(rng.randrange(1, 10 ** rng.randrange(1, 5))) if rng.random() < 0.6 else local


def _host(rng: random.Random) -> str:
    if rng.random() < 0.7:
        return _common(rng, _HOSTS)
    return f"{_ascii(_surname(rng))}.{rng.choice(('example', 'com', 'org', 'co.uk', 'io', 'net'))}"


def _ascii(name: str) -> str:
    plain = name.lower().translate(_PLAIN)
    return "".join(letter for letter in plain if letter.isascii() and letter.isalnum()) or "x"


def _group(rng: random.Random) -> int:
    """Return a group.

    80 % of the users share a few large groups; the others have the number of a tenant.
    """
    if rng.random() < 0.8:
        return int(rng.paretovariate(1.1))
    return rng.randrange(10**6, 10**10)
