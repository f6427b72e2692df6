/* A Modbus TCP server made of libmodbus, as an independent partner for tests and benchmarks.
 *
 * usage: libmodbus_server [COUNT]     serves 127.0.0.1 on a port of the system's choice and prints it.
 * Registers hold their own address (holding) or address + 1000 (input), modulo 65536; every third coil and every
 * second discrete input is on. Each table has COUNT values (default 65536), so that addresses from there on are refused.
 * A line "w" on standard input prints how many writes were taken; the end of standard input ends it. */
#include <errno.h>
#include <modbus.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <netinet/in.h>
#include <unistd.h>

int main(int argc, char **argv) {
    int count = argc > 1 ? atoi(argv[1]) : 65536;
    long writes = 0;
    modbus_t *context = modbus_new_tcp("127.0.0.1", 0);
    modbus_mapping_t *tables = modbus_mapping_new(count, count, count, count);
    if (context == NULL || tables == NULL) {
        return 1;
    }
    for (int i = 0; i < count; i++) {
        tables->tab_registers[i] = (uint16_t) i;
        tables->tab_input_registers[i] = (uint16_t) (i + 1000);
        tables->tab_bits[i] = i % 3 == 0;
        tables->tab_input_bits[i] = i % 2 == 0;
    }
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in place = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = 0};
    socklen_t size = sizeof place;
    if (listener < 0 || bind(listener, (struct sockaddr *) &place, size) < 0 || listen(listener, 16) < 0 ||
        getsockname(listener, (struct sockaddr *) &place, &size) < 0) {
        return 1;
    }
    printf("%d\n", ntohs(place.sin_port));
    fflush(stdout);

    fd_set all;
    int highest = listener;
    FD_ZERO(&all);
    FD_SET(listener, &all);
    FD_SET(STDIN_FILENO, &all);
    for (;;) {
        fd_set ready = all;
        if (select(highest + 1, &ready, NULL, NULL, NULL) < 0) {
            return 1;
        }
        for (int fd = 0; fd <= highest; fd++) {
            if (!FD_ISSET(fd, &ready)) {
                continue;
            }
            if (fd == STDIN_FILENO) {
                char line[16];
                ssize_t got = read(STDIN_FILENO, line, sizeof line);
                if (got <= 0) {
                    return 0;
                }
                printf("%ld\n", writes);
                fflush(stdout);
            } else if (fd == listener) {
                int client = accept(listener, NULL, NULL);
                if (client >= 0) {
                    int on = 1;
                    setsockopt(client, IPPROTO_TCP, 1 /* TCP_NODELAY */, &on, sizeof on);
                    FD_SET(client, &all);
                    highest = client > highest ? client : highest;
                }
            } else {
                uint8_t query[MODBUS_TCP_MAX_ADU_LENGTH];
                modbus_set_socket(context, fd);
                int length = modbus_receive(context, query);
                if (length > 0) {
                    uint8_t function = query[modbus_get_header_length(context)];
                    writes += function == 5 || function == 6 || function == 15 || function == 16 || function == 22;
                    modbus_reply(context, query, length, tables);
                } else if (length < 0) {
                    close(fd);
                    FD_CLR(fd, &all);
                }
            }
        }
    }
}
