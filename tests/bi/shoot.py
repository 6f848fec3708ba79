"""Logs in to Superset with a browser and writes what a dashboard looks like, once every chart is drawn.

Runs in Superset's environment, which has Selenium; what to do is one JSON object on standard input.
"""

import json
import sys
import tempfile

from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

SIZE = {"width": 1200, "height": 800}
FLAGS = """headless no-sandbox disable-gpu disable-quic no-first-run disable-background-networking
disable-component-update disable-sync hide-scrollbars"""
COUNT = "return document.querySelectorAll(arguments[0]).length"
FRAMES = """const done = arguments[0]; let left = 150;
const next = () => left-- ? requestAnimationFrame(next) : done(); next()"""


def main(given, profile):
    options = webdriver.ChromeOptions()
    options.binary_location = "/usr/bin/chromium"
    for flag in (*FLAGS.split(), f"user-data-dir={profile}", f"window-size={SIZE['width']},{SIZE['height']}"):
        options.add_argument(f"--{flag}")
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService("/usr/bin/chromedriver"))
    try:
        wait = WebDriverWait(driver, 120)
        driver.get(f"{given['address']}/login/")
        wait.until(lambda d: d.find_element(By.ID, "username")).send_keys(given["name"])
        password = driver.find_element(By.ID, "password")
        password.send_keys(given["password"])
        password.submit()
        wait.until(lambda d: "/login" not in d.current_url)
        driver.get(given["address"] + given["path"])
        for selector, number in given["drawn"].items():
            wait.until(lambda d, s=selector, n=number: d.execute_script(COUNT, s) >= n)
        wait.until(lambda d: d.execute_script(COUNT, ".loading") == 0)
        metrics = {**SIZE, "deviceScaleFactor": 1, "mobile": False}
        driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        driver.execute_async_script(FRAMES)  # charts grow into their place
        driver.get_screenshot_as_file(given["file"])
    finally:
        driver.quit()


with tempfile.TemporaryDirectory() as folder:
    main(json.load(sys.stdin), folder)
