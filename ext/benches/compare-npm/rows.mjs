import { readFileSync } from "node:fs";

// Attributes by column, in the order of the CSV.
export const ATTRIBUTE_IDS = { frequency: 101, recency_weeks: 102, tenure_weeks: 103 };

/** Returns the values of the CDNOW customers, as the API takes them. The file quotes nothing. */
export function readRows(csv) {
    const lines = readFileSync(csv, "utf8").trimEnd().split(/\r?\n/);
    const columns = Object.keys(ATTRIBUTE_IDS);
    if (lines[0] !== ["customer_id", ...columns].join(",")) {
        throw new Error(`${csv}: unexpected header ${lines[0]}`);
    }
    return lines.slice(1).flatMap((line) => {
        const [customer, ...values] = line.split(",");
        return values.map((value, column) => ({
            customer_id: Number(customer),
            attribute_id: ATTRIBUTE_IDS[columns[column]],
            value,
        }));
    });
}
