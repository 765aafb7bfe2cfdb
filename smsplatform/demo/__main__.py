"""Sets the environment up before Django reads it, then tells the story."""

import argparse
import os
import shutil
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
VAR = ROOT / ".var" / "demo"


def main() -> int:
    """Run the demo; 0 when every promise held."""
    parser = argparse.ArgumentParser(prog="make demo", description="One campaign, and everything that goes wrong.")
    parser.add_argument(
        "--break",
        dest="sabotage",
        choices=("never-twice", "never-lost", "stop-wins"),
        help="break a promise on purpose, to see the demo notice",
    )
    arguments = parser.parse_args()
    from smsplatform.demo.stage import free_port

    os.environ["DJANGO_SETTINGS_MODULE"] = "smsplatform.settings"
    if "DATABASE_URL" not in os.environ:
        shutil.rmtree(VAR, ignore_errors=True)
    os.environ.setdefault("SMS_VAR", str(VAR))
    Path(os.environ["SMS_VAR"]).mkdir(parents=True, exist_ok=True)
    port = free_port()
    os.environ.update(
        PORT=str(port),
        PUBLIC_URL=f"http://127.0.0.1:{port}",
        SIMULATOR_PORT=str(free_port()),
        BATCH_SIZE="100",
        LEASE_SECONDS="8",
        POST_WITHIN_SECONDS="3",
        HORIZON_MARGIN_SECONDS="1",
        RETRY_FIRST_SECONDS="1",
        LOG_LEVEL="WARNING",
        LOG_FORMAT="console",
    )
    from smsplatform import embedded

    embedded.use_where_unconfigured()
    import django

    django.setup()
    from smsplatform.demo import story

    return story.tell(sabotage=arguments.sabotage)


if __name__ == "__main__":
    sys.exit(main())
