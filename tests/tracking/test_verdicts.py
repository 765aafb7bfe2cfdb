"""The verdict on one hit: machines that say so, the points of all other signs, and the lists."""

from datetime import timedelta

import pytest

from tests import world
from tracking import agents, ranges, verdicts
from tracking.verdicts import Around, Hit, classify

ACCEPTED = world.at("2026-11-21 15:00:00")
IPHONE = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_2 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko)"
    " Version/17.2 Mobile/15E148 Safari/604.1"
)
CHROME = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Safari/537.36"
)
APPLE_MESSAGES = (
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_11_1) AppleWebKit/601.2.4 (KHTML, like Gecko) Version/9.0.1"
    " Safari/601.2.4 facebookexternalhit/1.1 Facebot Twitterbot/1.0"
)
INSIDE_AN_APP = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_2 like Mac OS X) AppleWebKit/605.1.15 Mobile/15E148"
PAGE = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
FULL = {"accept": PAGE, "accept-language": "en-US", "sec-fetch-mode": "navigate"}
MOBILE, CLOUD = "198.51.100.7", "203.0.113.9"
CLOUDS = ranges.parse(["# a cloud", "203.0.113.0/24  # its only network", "", "2001:db8:aaaa::/48"])


def judge(
    *, method="GET", agent=IPHONE, headers=FULL, without=(), after=40.0, ip=MOBILE, around=verdicts.ALONE, **more
):
    """The verdict on a person's tap 40 seconds after the message was accepted, but for what is given."""
    hit = Hit(
        method=method,
        user_agent=agent,
        at=ACCEPTED + timedelta(seconds=after),
        headers={name: value for name, value in headers.items() if name not in without},
        ip=ip,
        **{"accepted_at": ACCEPTED, **more},
    )
    return classify(hit, around, CLOUDS)


class TestRequests:
    """The requests of the specification."""

    @pytest.mark.parametrize("agent", [IPHONE, CHROME, "", "GoogleMessages", APPLE_MESSAGES])
    def test_head_is_a_machine_whatever_it_calls_itself(self, agent):
        assert judge(method="HEAD", agent=agent).verdict == "bot"

    @pytest.mark.parametrize("agent", [APPLE_MESSAGES, "GoogleMessages"])
    def test_previews_are_machines(self, agent):
        found = judge(agent=agent)
        assert (found.verdict, found.subtype, found.reasons) == ("bot", "preview", ("user_agent",))

    def test_a_tap_is_a_person(self):
        found = judge()
        assert (found.verdict, found.subtype, found.reasons, found.points) == ("human", "", (), 0)

    def test_a_browser_ahead_of_time_is_none(self):
        assert judge(headers={**FULL, "sec-purpose": "prefetch;prerender"}).verdict == "prefetch"

    def test_a_cloud_at_once_without_a_browsers_headers_is_suspected(self):
        found = judge(agent=CHROME, without=("accept-language", "sec-fetch-mode"), after=1, ip=CLOUD)
        assert (found.verdict, found.points) == ("bot_suspected", 6)
        assert found.reasons == ("data_centre", "at_once", "no_language", "no_navigation")

    def test_a_company_behind_a_cloud_is_a_person(self):
        found = judge(agent=CHROME, ip=CLOUD, after=600)
        assert (found.verdict, found.points, found.reasons) == ("human", 2, ("data_centre",))

    def test_a_quick_tap_is_a_person(self):
        found = judge(after=1.5)
        assert (found.verdict, found.points, found.reasons) == ("human", 2, ("at_once",))

    @pytest.mark.parametrize("agent", ["", " "])
    def test_nobody_by_name_is_suspected(self, agent):
        found = judge(agent=agent)
        assert (found.verdict, found.points, found.reasons) == ("bot_suspected", 3, ("no_user_agent",))

    def test_the_same_again_is_a_duplicate(self):
        found = judge(around=Around(is_repeat=True), after=43)
        assert (found.verdict, found.reasons) == ("duplicate", ("repeat",))


class TestSigns:
    @pytest.mark.parametrize("method", ["HEAD", "OPTIONS"])
    def test_1_methods(self, method):
        found = judge(method=method)
        assert (found.verdict, found.reasons) == ("bot", ("method",))

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("sec-purpose", "prefetch"),
            ("sec-purpose", "prefetch;prerender"),
            ("sec-purpose", "Prefetch; anonymous-client-ip"),
            ("purpose", "prefetch"),
            ("purpose", "preview"),
            ("x-purpose", "preview"),
            ("x-moz", "prefetch"),
        ],
    )
    def test_2_prefetches(self, name, value):
        found = judge(headers={**FULL, name: value})
        assert (found.verdict, found.reasons) == ("prefetch", ("prefetch",))

    @pytest.mark.parametrize(("name", "value"), [("sec-purpose", "navigate"), ("purpose", "buy"), ("x-moz", "")])
    def test_2_other_purposes_are_none(self, name, value):
        assert judge(headers={**FULL, name: value}).verdict == "human"

    def test_3_the_list(self):
        found = judge(agent="python-requests/2.31.0")
        assert (found.verdict, found.subtype, found.points) == ("bot", "library", 0)

    def test_4_no_user_agent(self):
        assert judge(agent="").points == verdicts.POINTS["no_user_agent"] == 3

    @pytest.mark.parametrize(
        ("ip", "points"),
        [(CLOUD, 2), ("2001:db8:aaaa:1::5", 2), (MOBILE, 0), ("2001:db8:aaab::5", 0), ("10.0.0.1", 0), (None, 0)],
    )
    def test_5_data_centres(self, ip, points):
        assert judge(ip=ip).points == points

    @pytest.mark.parametrize(
        ("after", "points"), [(-1, 2), (0, 2), (2, 2), (2.001, 1), (5, 1), (5.001, 0), (-3600, 0), (3600, 0)]
    )
    def test_6_haste(self, after, points):
        assert judge(after=after).points == points

    def test_6_needs_to_know_when_the_message_was_taken(self):
        assert judge(after=1, accepted_at=None).points == 0

    @pytest.mark.parametrize(
        "around",
        [
            Around(is_all_links=True),
            Around(is_many_people=True),
            Around(is_all_links=True, is_many_people=True),
        ],
    )
    def test_7_sweeps(self, around):
        found = judge(around=around)
        assert (found.verdict, found.points) == ("bot_suspected", 3)

    @pytest.mark.parametrize("headers", [{}, {"accept-language": " "}])
    def test_8_no_language(self, headers):
        kept = {name: value for name, value in FULL.items() if name != "accept-language"}
        found = judge(headers=kept | headers)
        assert (found.points, found.reasons) == (1, ("no_language",))

    @pytest.mark.parametrize(
        ("agent", "points"),
        [
            (CHROME, 1),
            (CHROME.replace("Chrome/120", "Chrome/80"), 1),
            (CHROME.replace("Chrome/120", "Chrome/79"), 0),
            ("Mozilla/5.0 (Linux; Android 14; wv) Version/4.0 Chrome/120.0.0.0 Mobile Safari/537.36", 1),
            ("Mozilla/5.0 (X11; Linux x86_64; rv:90.0) Gecko/20100101 Firefox/90.0", 1),
            ("Mozilla/5.0 (X11; Linux x86_64; rv:89.0) Gecko/20100101 Firefox/89.0", 0),
            (IPHONE, 1),
            (IPHONE.replace("Version/17.2", "Version/16.4"), 1),
            (IPHONE.replace("Version/17.2", "Version/16.3"), 0),
            (IPHONE.replace("Version/17.2", "Version/16"), 0),
            (IPHONE.replace("Version/17.2", "CriOS/120.0"), 0),  # WebKit under another name
            ("Opera/9.80 (J2ME/MIDP; Opera Mini/7.1) Presto/2.8.119 Version/11.10", 0),
        ],
    )
    def test_9_no_navigation(self, agent, points):
        assert judge(agent=agent, without=("sec-fetch-mode",)).points == points
        assert judge(agent=agent, headers={**FULL, "sec-fetch-mode": "no-cors"}).points == points
        assert judge(agent=agent).points == 0

    def test_9_says_nothing_over_http(self):
        assert judge(without=("sec-fetch-mode",), is_https=False).points == 0

    @pytest.mark.parametrize(
        ("accept", "points"), [("*/*", 1), ("*/*;q=0.8", 1), ("", 1), (PAGE, 0), ("image/webp,*/*", 0)]
    )
    def test_10_accepts_anything(self, accept, points):
        assert judge(headers={**FULL, "accept": accept}).points == points

    def test_10_no_accept(self):
        assert judge(without=("accept",)).reasons == ("accepts_anything",)

    def test_every_sign_has_words(self):
        assert set(verdicts.WORDS) == {*verdicts.POINTS, "method", "prefetch", "user_agent", "repeat"}


class TestOrder:
    def test_a_prefetch_says_more_than_the_user_agent(self):
        assert judge(agent=APPLE_MESSAGES, headers={**FULL, "sec-purpose": "prefetch"}).verdict == "prefetch"

    def test_a_method_says_more_than_a_prefetch(self):
        assert judge(method="HEAD", headers={**FULL, "sec-purpose": "prefetch"}).verdict == "bot"

    def test_a_machine_once_more_stays_one(self):
        again = Around(is_repeat=True)
        assert judge(agent="GoogleMessages", around=again).verdict == "bot"
        assert judge(agent="", around=again).verdict == "bot_suspected"

    def test_a_person_with_two_points_once_more_is_a_duplicate(self):
        found = judge(after=1, around=Around(is_repeat=True))
        assert (found.verdict, found.points, found.reasons) == ("duplicate", 2, ("repeat", "at_once"))


class TestUserAgents:
    @pytest.mark.parametrize(
        ("agent", "kind"),
        [
            (APPLE_MESSAGES, "preview"),
            ("GoogleMessages", "preview"),
            ("WhatsApp/2.23.20.0", "preview"),
            ("WhatsApp/2", "preview"),
            ("facebookexternalhit/1.1 (+http://www.facebook.com/externalhit_uatext.php)", "preview"),
            ("Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)", "preview"),
            ("TelegramBot (like TwitterBot)", "preview"),
            ("Mozilla/5.0 (compatible; Discordbot/2.0; +https://discordapp.com)", "preview"),
            ("Mozilla/5.0 (Windows NT 6.1; WOW64) SkypeUriPreview Preview/0.5", "preview"),
            ("LinkedInBot/1.0 (compatible; Mozilla/5.0; Apache-HttpClient +http://www.linkedin.com)", "preview"),
            ("Mozilla/5.0 (Macintosh) AppleWebKit/605.1.15 Version/13.1.1 Safari/605.1.15 (Applebot/0.1)", "scanner"),
            ("Mozilla/5.0 (compatible; Snap URL Preview Service; bot; snapchat)", "preview"),
            ("Viber/13.0.0.0", "preview"),
            ("curl/8.5.0", "library"),
            ("python-requests/2.31.0", "library"),
            ("Go-http-client/1.1", "library"),
            ("okhttp/4.12.0", "library"),
            (CHROME.replace("Chrome/", "HeadlessChrome/"), "scanner"),
            (f"{CHROME} Google-PageRenderer Google (+https://developers.google.com)", "scanner"),
            ("BarracudaCentral", "scanner"),
            (f"{CHROME} ProofPoint", "scanner"),
            ("Mimecast-URL/1.0", "scanner"),
            ("urldefense", "scanner"),
            ("Safelinks/2", "scanner"),
            ("CiscoSecure Email", "scanner"),
            ("SomeoneElses Link-Preview/1.0", "preview"),
        ],
    )
    def test_machines_say_what_they_are(self, agent, kind):
        assert agents.machine(agent) == kind

    @pytest.mark.parametrize(
        "agent",
        [
            IPHONE,
            CHROME,
            "Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 Chrome/120.0.0.0 Mobile Safari/537.36",
            f"{INSIDE_AN_APP} [FBAN/FBIOS;FBAV/440.0.0.29]",
            f"{INSIDE_AN_APP} Instagram 309.0.0.28",
            f"{INSIDE_AN_APP} Snapchat/12.60",
            f"{INSIDE_AN_APP} [Pinterest/iOS]",
            f"{INSIDE_AN_APP} Safari Line/13.20.0",
            "Mozilla/5.0 (iPhone; CPU iPhone OS 17_2 like Mac OS X) AppleWebKit/605.1.15 GSA/296.0 Mobile/15E148 Safari/604.1",
            "Mozilla/5.0 (Linux; Android 13) AppleWebKit/537.36 Chrome/119.0 Mobile DuckDuckGo/5 Safari/537.36",
            "Mozilla/5.0 (Linux; Android 13; SM-S901B) AppleWebKit/537.36 SamsungBrowser/23.0 Chrome/115.0 Mobile Safari/537.36",
            "Mozilla/5.0 (Linux; Android 11; CUBOT NOTE 20) AppleWebKit/537.36 Chrome/120.0.0.0 Mobile Safari/537.36",
            f"{INSIDE_AN_APP} [LinkedInApp]/9.29",
            "Opera/9.80 (J2ME/MIDP; Opera Mini/7.1.32052/29.3417; U; en) Presto/2.8.119 Version/11.10",
            "",
        ],
    )
    def test_people_are_no_machines(self, agent):
        assert agents.machine(agent) == ""

    def test_each_is_looked_up_once(self):
        agents.machine.cache_clear()
        for _ in range(3):
            agents.machine(IPHONE)
        assert (agents.machine.cache_info().misses, agents.machine.cache_info().hits) == (1, 2)


class TestRanges:
    def test_none_are_built_in(self):
        assert MOBILE not in ranges.read("")
        assert classify(Hit("GET", IPHONE, ACCEPTED, FULL, CLOUD)).points == 0

    def test_reads_a_file(self, tmp_path):
        path = tmp_path / "clouds.txt"
        path.write_text("203.0.113.0/25\n203.0.113.128/25\n198.51.100.0/24 # theirs\n2001:db8::/32\n")
        found = ranges.read(str(path))
        inside = ("203.0.113.0", "203.0.113.200", "198.51.100.255", "2001:db8:ffff::1")
        outside = ("203.0.112.255", "203.0.114.0", "198.51.101.0", "2001:db9::", "0.0.0.1")
        assert [address in found for address in (*inside, *outside)] == [True] * 4 + [False] * 5

    @pytest.mark.parametrize("line", ["203.0.113.9/24", "AWS", "1.2.3.4/33"])
    def test_names_the_line_that_is_no_network(self, line):
        with pytest.raises(ValueError, match="line 2: "):
            ranges.parse(["203.0.113.0/24", line])

    def test_a_verdict_names_the_lists_it_was_made_with(self):
        assert judge().version == verdicts.version(CLOUDS) != verdicts.version()
        assert verdicts.version(ranges.parse(["203.0.113.0/24", "2001:db8:aaaa::/48"])) == verdicts.version(CLOUDS)
        assert len(verdicts.version(CLOUDS)) <= 60
