// Stores the values of a CSV file with npm's bigcommerce-api-client.
//
// node client.mjs INSTALL_DIR BASE_URL CSV

import { createRequire } from "node:module";
import { join } from "node:path";

import { readRows } from "./rows.mjs";

const [installDir, baseUrl, csv] = process.argv.slice(2);
const { BigCommerceApiClient } = createRequire(join(installDir, "package.json"))(
    "bigcommerce-api-client",
);

// All settings keep their defaults.
const client = new BigCommerceApiClient({
    storeHash: "sandbox",
    accessToken: process.env.BIGCOMMERCE_ACCESS_TOKEN,
});
// The client has no setting for the host, but its axios instance is public. Only the base URL
// changes; the client appends "/v3/…" itself.
client.apiClient.axiosInstance.defaults.baseURL = baseUrl.replace(/\/v3$/, "");

try {
    // One call with all values. The client cuts them into batches itself.
    await client.customersV3.customerAttributeValues.upsertCustomerAttributeValue(readRows(csv));
} catch (error) {
    // Without the cause, which holds the whole request.
    console.error(`client.mjs: ${error.message}`);
    process.exitCode = 1;
}
