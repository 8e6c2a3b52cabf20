"""Mistakes that somebody has to tell, under plugin-host. The same tests as under httpd."""

import test_877_plugin_mistakes
from harness.pluginhost import plugin_of, take_tests


def SITES(folder):
    files = test_877_plugin_mistakes.compiled(folder)
    return {
        "/scripted": plugin_of("scripted"),
        **{path: (str(file), "mine_init") for path, file in files.items()},
    }


take_tests(test_877_plugin_mistakes, globals())
