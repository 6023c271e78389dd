/* Sends readings to Vigía, one a line of standard input, and goes on until each is answered for. libcurl.
 *
 *     cc -o send send.c -lcurl && ./send https://vigia.example vgd_… < readings.jsonl
 *
 * Each line is a reading in the compact form: {"code": "8867-4", "value": 72, "unit": "/min", "time": "…", "id": "…"}.
 */
#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LINE = 64 * 1024, LONGEST_WAIT_S = 60 };

static size_t ignore(char *data, size_t size, size_t count, void *to) {
    (void)data; (void)to;
    return size * count;
}

/* Whether the same may be taken later. */
static int later(long status) {
    return status == 0 || status == 409 || status == 429 || status >= 500;
}

int main(int count, char **words) {
    if (count != 3) { fprintf(stderr, "send URL KEY < readings.jsonl\n"); return 2; }
    char url[1024], key[1024], line[LINE];
    snprintf(url, sizeof url, "%s/device/v1/observations", words[1]);
    snprintf(key, sizeof key, "Authorization: Bearer %s", words[2]);
    curl_global_init(CURL_GLOBAL_DEFAULT);
    CURL *curl = curl_easy_init();
    if (curl == NULL) { fprintf(stderr, "no libcurl\n"); return 1; }
    struct curl_slist *headers = curl_slist_append(NULL, "Content-Type: application/json");
    headers = curl_slist_append(headers, key);
    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, ignore);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT, 30L);
    int refused = 0;
    while (fgets(line, sizeof line, stdin) != NULL) {
        if (strspn(line, " \t\r\n") == strlen(line)) continue;
        for (unsigned wait = 1;; wait = wait * 2 < LONGEST_WAIT_S ? wait * 2 : LONGEST_WAIT_S) {
            long status = 0;
            curl_off_t told = 0;
            curl_easy_setopt(curl, CURLOPT_POSTFIELDS, line);
            if (curl_easy_perform(curl) == CURLE_OK) curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
            if (!later(status)) { /* 200: stored or kept; 422: this reading is wrong; else: nothing of ours is taken */
                printf("%ld\n", status);
                refused |= status != 200;
                break;
            }
            curl_easy_getinfo(curl, CURLINFO_RETRY_AFTER, &told);
            sleep(told > 0 ? (unsigned)told : wait);
        }
    }
    curl_slist_free_all(headers);
    curl_easy_cleanup(curl);
    curl_global_cleanup();
    return refused;
}
