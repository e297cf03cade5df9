"""`flask returns`: units that arrived."""

from __future__ import annotations

import pytest

from tests.commands.subjects import KETTLE, accepted_return
from tests.shop_fixtures import Shop


@pytest.mark.parametrize("option", ["--restock", "--no-restock"])
def test_a_product_that_is_named_twice_is_refused_instead_of_counted_once(shop: Shop, option: str) -> None:
    reference, run = accepted_return(shop), shop.app.test_cli_runner()
    twice = [option, f"{KETTLE}=1", option, f"{KETTLE}=1", "--reason", "wet"]
    refused = run.invoke(args=["returns", "receive", reference, *twice])
    assert refused.exit_code == 1 and "A product is named twice. Add up its units." in refused.stderr
    assert "ACCEPTED" in run.invoke(args=["returns", "list"]).stdout
    done = run.invoke(args=["returns", "receive", reference, option, f"{KETTLE}=1", "--reason", "wet"])
    assert done.exit_code == 0, done.stderr
