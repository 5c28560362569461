"""The client of the original article, unchanged but for address and token: three calls, and polling without a pause."""

import time
import unittest

import requests

from local_server import LocalServer

TWO_SECONDS_H = 2 / 3600
AN_HOUR_H = 1
# Far beyond what any of these stories needs, near enough that a hang is a failure and not a wait.
PATIENCE_S = 60


class ArticleClient:
    """What the article's program does, call for call."""

    def __init__(self, url, token):
        self.url = url
        self.session = requests.Session()
        # The article's client knows one server: what the environment says of proxies is not for it.
        self.session.trust_env = False
        self.session.headers["Authorization"] = f"Bearer {token}"
        self.statuses_seen = set()

    def submit_task(self, user_id, task_name, resource_count, execute_time, **more):
        body = {"user_id": user_id, "task_name": task_name, "resource_count": resource_count, **more}
        body["execute_time"] = execute_time
        return self._seen(self.session.post(f"{self.url}/submit_task", json=body, timeout=PATIENCE_S))

    def query_task_status(self, task_id):
        call = f"{self.url}/query_task_status"
        return self._seen(self.session.get(call, params={"task_id": task_id}, timeout=PATIENCE_S))

    def release_resource(self, task_id):
        call = f"{self.url}/release_resource"
        return self._seen(self.session.delete(call, params={"task_id": task_id}, timeout=PATIENCE_S))

    def _seen(self, response):
        self.statuses_seen.add(response.status_code)
        return response

    def poll_until(self, task_id, wanted):
        """Asks again at once, as the article does; returns every different status on the way."""
        deadline = time.monotonic() + PATIENCE_S
        on_the_way = []
        while time.monotonic() < deadline:
            response = self.query_task_status(task_id)
            if response.status_code != 200:
                raise AssertionError(f"polling was answered with {response.status_code}: {response.text}")
            status = response.json()["status"]
            if status not in on_the_way[-1:]:
                on_the_way.append(status)
            if status == wanted:
                return on_the_way
            if status in ("finished", "failed"):
                break
        raise AssertionError(f"never {wanted}: {on_the_way}")


class ArticleTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = LocalServer("2xA100-80GB")
        cls.server.__enter__()
        cls.addClassCleanup(cls.server.__exit__)

    def setUp(self):
        self.client = ArticleClient(self.server.url, self.server.token)
        self.addCleanup(self.client.session.close)

    def submit(self, resource_count, execute_time, **more):
        response = self.client.submit_task("alice", "train", resource_count, execute_time, **more)
        self.assertEqual(response.status_code, 200, response.text)
        task_id = response.json()["task_id"]
        self.addCleanup(self.client.release_resource, task_id)
        return task_id

    def test_a_reservation_is_submitted_runs_its_time_finishes_and_is_released(self):
        began = time.monotonic()
        task_id = self.submit(1, TWO_SECONDS_H)
        on_the_way = self.client.poll_until(task_id, "finished")
        took_s = time.monotonic() - began
        self.assertLessEqual(set(on_the_way), {"submitted", "running", "finished"})
        self.assertIn("running", on_the_way)
        self.assertGreaterEqual(took_s, 2.0)
        for _ in range(2):
            self.assertEqual(self.client.release_resource(task_id).status_code, 200)
        self.assertEqual(self.client.query_task_status(task_id).json(), {"task_id": task_id, "status": "finished"})

    def test_polling_without_a_pause_is_never_turned_away(self):
        task_id = self.submit(1, AN_HOUR_H)
        self.client.poll_until(task_id, "running")
        until = time.monotonic() + 1.5
        asked = 0
        while time.monotonic() < until:
            self.client.query_task_status(task_id)
            asked += 1
        self.assertEqual(self.client.statuses_seen, {200})
        # An unchanged answer may be held, but for no longer than a tenth of a second each.
        self.assertGreaterEqual(asked, 10)

    def test_fractions_share_one_device(self):
        tasks = [self.submit(0.5, AN_HOUR_H) for _ in range(4)]
        for task_id in tasks:
            self.client.poll_until(task_id, "running")
        late = self.submit(0.5, AN_HOUR_H)
        self.assertEqual(self.client.query_task_status(late).json()["status"], "submitted")

    def test_what_does_not_fit_waits_until_something_is_released(self):
        first = self.submit(2, AN_HOUR_H)
        self.client.poll_until(first, "running")
        second = self.submit(1, TWO_SECONDS_H)
        for _ in range(5):
            self.assertEqual(self.client.query_task_status(second).json()["status"], "submitted")
        self.assertEqual(self.client.release_resource(first).status_code, 200)
        self.client.poll_until(first, "finished")
        self.client.poll_until(second, "finished")

    def test_releasing_what_runs_gives_the_gpu_back_twice_over(self):
        task_id = self.submit(2, AN_HOUR_H)
        self.client.poll_until(task_id, "running")
        answers = [self.client.release_resource(task_id).status_code for _ in range(3)]
        self.assertEqual(answers, [200, 200, 200])
        self.client.poll_until(task_id, "finished")

    def test_releasing_what_still_waits_takes_it_out_of_the_queue(self):
        holder = self.submit(2, AN_HOUR_H)
        waiting = self.submit(2, AN_HOUR_H)
        self.client.poll_until(holder, "running")
        self.assertEqual(self.client.release_resource(waiting).status_code, 200)
        self.client.poll_until(waiting, "failed")
        self.assertEqual(self.client.query_task_status(holder).json()["status"], "running")

    def test_a_program_that_fails_is_failed(self):
        task_id = self.submit(0.1, AN_HOUR_H, command=["/bin/sh", "-c", "exit 3"])
        self.client.poll_until(task_id, "failed")

    def test_a_program_that_succeeds_is_finished(self):
        task_id = self.submit(0.1, AN_HOUR_H, command=["/bin/true"])
        self.client.poll_until(task_id, "finished")

    def test_what_cannot_be_is_refused_with_a_reason(self):
        for count, hours in [(0, 1), (-1, 1), (1.5, 1), (3, 1), (1, 0), (1, -1), ("many", 1)]:
            response = self.client.submit_task("alice", "train", count, hours)
            self.assertIn(response.status_code, (400, 422), f"{count} GPUs for {hours} h: {response.text}")
            self.assertTrue(response.json()["detail"], response.text)

    def test_an_unknown_task_is_not_found(self):
        self.assertEqual(self.client.query_task_status("t-0000000000000").status_code, 404)

    def test_no_token_and_a_wrong_token_are_turned_away(self):
        for headers in ({"Authorization": None}, {"Authorization": "Bearer fgp_wrong"}):
            self.client.session.headers.update(headers)
            self.assertEqual(self.client.submit_task("alice", "train", 1, 1).status_code, 401)

    def test_the_user_of_the_body_is_a_label_for_accounting(self):
        task_id = self.client.submit_task("mallory", "train", 0.1, AN_HOUR_H).json()["task_id"]
        self.addCleanup(self.client.release_resource, task_id)
        task = self.client.session.get(f"{self.server.url}/v1/tasks/{task_id}", timeout=PATIENCE_S).json()
        self.assertEqual(task["owner"], "mallory")


if __name__ == "__main__":
    unittest.main()
