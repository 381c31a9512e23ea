"""What pytest loads by itself (entry point ``rabbitlab``): the plugin, unless ``-p rabbitlab.grading.plugin`` has loaded it already."""


def pytest_addoption(pluginmanager):
    """Register the plugin once, under the name that ``-p`` would give it."""
    from rabbitlab.grading import plugin

    if not pluginmanager.is_registered(plugin):
        pluginmanager.register(plugin, plugin.__name__)
