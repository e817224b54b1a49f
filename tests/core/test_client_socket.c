// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* test_client_socket.c - tests of socket records as JSON Lines. */
#include <sys/socket.h>

#include "fixture.h"
#include "json.h"
#include "libosq.h"

static struct osq_ring ring;

/* Return a connect of an IPv4 socket, or with a path of a UNIX socket. */
static struct osq_socket *put_socket(const char *path, u32 path_bytes)
{
	static union {
		struct osq_socket socket;
		char bytes[512];
	} one;

	memset(&one, 0, sizeof(one));
	one.socket.head.type = OSQ_TYPE_SOCKET;
	one.socket.head.len = sizeof(one.socket) + path_bytes;
	one.socket.action = OSQ_SOCKET_CONNECT;
	one.socket.status = OSQ_SOCKET_IN_PROGRESS;
	one.socket.error = 115;
	one.socket.family = path_bytes ? AF_UNIX : AF_INET;
	memcpy(one.socket.remote_addr, "\x7f\0\0\x01", 4);
	one.socket.remote_port = 8080;
	one.socket.local_path.off = sizeof(one.socket);
	one.socket.remote_path.off = sizeof(one.socket);
	one.socket.remote_path.len = path_bytes;
	memcpy(one.bytes + sizeof(one.socket), path, path_bytes);
	EXPECT_EQ(osq_ring_put(&ring, &one.socket.head, OSQ_RANK_ANY), 0);
	return (void *)(ring.data + one.socket.head.pos);
}

static int print(const struct osq_record *record, char *line, size_t size)
{
	FILE *out = fmemopen(line, size, "w");
	int err = json_record(out, record);

	fclose(out);
	return err;
}

/* Known values are names, unknown ones numbers, and addresses are text. */
static void test_a_socket_is_printed(void)
{
	struct osq_socket *socket;
	char line[2048] = "";

	ring_setup(&ring, SMALL);
	socket = put_socket("", 0);

	EXPECT_EQ(print(&socket->head, line, sizeof(line)), 0);
	EXPECT(strstr(line, "\"action\":\"connect\","
			    "\"status\":\"in_progress\",\"error\":115,"));
	EXPECT(strstr(line, "\"remote_address\":\"127.0.0.1\","
			    "\"remote_port\":8080,\"remote_path\":\"\"}\n"));
	socket->family = AF_INET6;
	socket->action = 99;
	EXPECT_EQ(print(&socket->head, line, sizeof(line)), 0);
	EXPECT(strstr(line, "\"action\":99,"));
	EXPECT(strstr(line, "\"remote_address\":\"7f00:1::\","));
	EXPECT_EQ(print(&put_socket("\0name", 5)->head, line, sizeof(line)), 0);
	EXPECT(strstr(line, "\"remote_address\":\"\",\"remote_port\":8080,"
			    "\"remote_path\":\"\\u0000name\"}\n"));
	ring_teardown(&ring);
}

/* A path outside its record, or a short record, gives no line. */
static void test_a_broken_socket_is_refused(void)
{
	struct osq_socket *socket;
	char line[2048];

	ring_setup(&ring, SMALL);
	socket = put_socket("path", 4);

	socket->remote_path.len = 9;
	EXPECT_EQ(print(&socket->head, line, sizeof(line)), -1);
	socket->remote_path.len = 4;
	socket->local_path.off = 0;
	EXPECT_EQ(print(&socket->head, line, sizeof(line)), -1);
	socket->local_path.off = 64;
	EXPECT_EQ(print(&socket->head, line, sizeof(line)), 0);
	socket->head.len = 192;
	EXPECT_EQ(print(&socket->head, line, sizeof(line)), -1);
	ring_teardown(&ring);
}

static const struct ktap_test tests[] = {
	KTAP_TEST(test_a_socket_is_printed),
	KTAP_TEST(test_a_broken_socket_is_refused),
};

KTAP_MAIN(tests)
