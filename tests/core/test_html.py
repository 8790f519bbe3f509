import jinja2
import pytest

from core.html import template_environment


@pytest.mark.parametrize(
    ("package", "folder", "template"),
    [
        ("serving.search", "", "contact_sheet.html.j2"),
        ("pages.report", "templates", "report.html.j2"),
    ],
)
def test_templates_are_found_in_a_package_and_in_a_folder_of_it(package, folder, template):
    assert template in template_environment(package, folder).list_templates()


def test_what_a_template_is_filled_with_is_escaped():
    template = template_environment("serving.search").from_string("<b>{{ caption }}</b>")
    assert template.render(caption="<script>") == "<b>&lt;script&gt;</b>"


def test_a_name_that_a_template_is_not_given_is_an_error():
    template = template_environment("serving.search").from_string("{{ caption }}")
    with pytest.raises(jinja2.UndefinedError, match="caption"):
        template.render()
