"""chat stack: Open WebUI as its command starts it, told on standard input what it may know.

Three things are done that no setting does: the models' system prompts and parameters go into its tables, the answer's
tags are known, and what is secret leaves the environment once it is read.
"""

import asyncio
import json
import os
import sys
from typing import Any


async def enter(models: list[dict[str, Any]]) -> None:
    """Write name and parameters of each model; what a person changed there since is set back."""
    from open_webui.models.models import ModelForm, ModelMeta, ModelParams, Models

    for model in models:
        form = ModelForm(
            id=model["id"], name=model["name"], meta=ModelMeta(), params=ModelParams(**model["params"]), is_active=True
        )
        if await Models.update_model_by_id(model["id"], form) is None:
            await Models.insert_new_model(form, user_id="finr1")


async def serve(host: str, port: int, models: list[dict[str, Any]]) -> None:
    """Tables first, so that the first visitor already finds the models."""
    import uvicorn
    from open_webui.main import app
    from open_webui.utils import middleware

    # The text between a pair of these is shown as it is, without them; it knows other models' tags for it.
    middleware.DEFAULT_SOLUTION_TAGS.append(("<answer>", "</answer>"))
    await enter(models)
    await uvicorn.Server(uvicorn.Config(app, host=host, port=port, proxy_headers=False)).serve()


def main() -> None:
    """Read what is told, import under it, forget the secrets, serve until a signal."""
    told = json.load(sys.stdin)
    os.umask(0o077)  # accounts and talks are their owner's
    os.environ.update(told["settings"])
    os.environ.update(told["secrets"])
    import open_webui.main  # noqa: F401 - it reads its settings when it is imported

    for name in told["secrets"]:
        del os.environ[name]
    asyncio.run(serve(told["host"], told["port"], told["models"]))


if __name__ == "__main__":
    main()
