"""The report: one section per file, assembled into one page."""


def write_report(runs, page):
    page.write_text("soon")
